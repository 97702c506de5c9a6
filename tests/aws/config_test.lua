--- aws.ini and aws.config: the dialect of AWS's shared files.
local t = require "harness"
local config = require "aws.config"
local ini = require "aws.ini"

local function values(text)
  local found = {}
  for _, section in ipairs(ini.parse(text, "f")) do
    found[(section.kind and section.kind .. " " or "") .. section.name] = section.values
  end
  return found
end

t.test("sections, properties, comments, blanks", function()
  t.equal(values [[
# a comment
; another
[default]
region = us-east-1
  # an indented comment

output=json ; comment
empty =
[profile dev] # comment
Region =  eu-west-1  # comment
color = #fff is a comment by AWS's rules
password = a#b;c
equals = a=b = c
]], {
    default = { region = "us-east-1", output = "json", empty = "" },
    ["profile dev"] = { region = "eu-west-1", color = "", password = "a#b;c", equals = "a=b = c" },
  })
end)

t.test("nested properties and continued values", function()
  t.equal(values [[
[profile a]
s3 =
  addressing_style = path
  Max_Concurrent_Requests = 20

  max_queue_size=1000 # comment
region = us-east-1
note = first
  second ; kept
	third
[services local]
s3 =
  endpoint_url = http://localhost:9000
dynamodb =
  endpoint_url = http://localhost:8000
]], {
    ["profile a"] = {
      s3 = { addressing_style = "path", max_concurrent_requests = "20", max_queue_size = "1000" },
      region = "us-east-1", note = "first\nsecond ; kept\nthird",
    },
    ["services local"] = {
      s3 = { endpoint_url = "http://localhost:9000" },
      dynamodb = { endpoint_url = "http://localhost:8000" },
    },
  })
end)

t.test("section names: white space, quotes, repeats, carriage returns, byte order mark", function()
  t.equal(values("\xef\xbb\xbf[ profile  a ]\r\nx = 1\r\n[profile \"b c\"]\r\nx = 2\r\n"
    .. "[profile a]\r\ny = 3\r\nx = 4\r\n"), {
    ["profile a"] = { x = "4", y = "3" }, ["profile b c"] = { x = "2" },
  })
end)

t.test("faults name the file and the line, and no value", function()
  local function fault(text, pattern)
    local e = t.raises(pattern, ini.parse, text, "/home/u/.aws/credentials")
    t.equal(e.kind, "invalid")
    t.ok(not tostring(e):find("SECRET", 1, true), "a value shows: " .. tostring(e))
  end
  fault("[default]\n\naws_secret_access_key SECRET\n", "credentials:3: a property needs '='")
  fault("[default\nx = SECRET", "credentials:1: a section must end with ']'")
  fault("x = SECRET\n[default]", "credentials:1: a property before the first %[section%]")
  fault("[default]\n  x = SECRET", "credentials:2: an indented line that follows no property")
  fault("[default]\n= SECRET", "credentials:2: a property without a name")
  fault("[default]\ns3 =\n  SECRET", "credentials:3: a nested property needs '='")
  fault("[default] x", "credentials:1: unexpected text")
end)

local function load(config_text, credentials_text, env, profile)
  env = env or {}
  env.HOME = env.HOME or "/home/u"
  local files = { ["/home/u/.aws/config"] = config_text,
    ["/home/u/.aws/credentials"] = credentials_text }
  return config.load { env = env, profile = profile, read = function(path)
    if files[path] then return files[path] end
    return nil, path .. ": No such file or directory", "missing"
  end }
end

t.test("profiles come from both files, the credentials file winning", function()
  local c = load("[default]\nregion = a\n[profile x]\nregion = b\naws_access_key_id = "
    .. "no\n[plugins]\nr = z\n[y]\nq=1",
    "[x]\naws_access_key_id = yes\n[profile z]\nregion = no\n")
  t.equal(c:profile_names(), { "default", "x" })
  t.equal(c:profile(), { region = "a" })
  t.equal(c:profile("x"), { region = "b", aws_access_key_id = "yes" })
  t.equal(select(2, c:profile("x")).aws_access_key_id, "/home/u/.aws/credentials:2")
end)

t.test("[profile default] wins over [default]", function()
  t.equal(load("[default]\nregion = a\nx = 1\n[profile default]\nregion = b"):profile(),
    { region = "b" })
end)

t.test("the profile's name: option, AWS_PROFILE, AWS_DEFAULT_PROFILE, default", function()
  local text = "[default]\nn = 0\n[profile a]\nn = 1\n[profile b]\nn = 2\n[profile c]\nn = 3"
  t.equal(load(text, nil, { AWS_PROFILE = "a", AWS_DEFAULT_PROFILE = "b" }, "c"):profile().n, "3")
  t.equal(load(text, nil, { AWS_PROFILE = "a", AWS_DEFAULT_PROFILE = "b" }):profile().n, "1")
  t.equal(load(text, nil, { AWS_PROFILE = "", AWS_DEFAULT_PROFILE = "b" }):profile().n, "2")
  t.equal(load(text):profile().n, "0")
end)

t.test("a profile that was asked for must exist; the nearest name is offered", function()
  local e = t.raises("profile \"produktion\"", load("[profile production]\nx = 1", nil, {},
    "produktion").profile, load("[profile production]\nx = 1", nil, {}, "produktion"))
  t.equal(e.kind, "missing")
  t.contains(e, "production")
  t.equal(load(nil, nil):profile(), {})
end)

t.test("other files by the environment; ~ is the home directory", function()
  local seen = {}
  config.load { env = { HOME = "/h", AWS_CONFIG_FILE = "~/c",
    AWS_SHARED_CREDENTIALS_FILE = "/etc/creds" },
    read = function(path) table.insert(seen, path) return nil, path, "missing" end }
  t.equal(seen, { "/h/c", "/etc/creds" })
end)

t.test("a file that cannot be read is an error, not an empty one", function()
  local e = t.raises("cannot read /home/u/.aws/config: Permission denied", config.load,
    { env = { HOME = "/home/u" },
      read = function(path) return nil, path .. ": Permission denied", "denied" end })
  t.equal(e.kind, "denied")
end)

t.test("settings: environment before file, flags are true or false", function()
  local c = load("[default]\nregion = a\nuse_fips_endpoint = TRUE\nuse_dualstack_endpoint = yes",
    nil, { AWS_DEFAULT_REGION = "b", AWS_EMPTY = "" })
  t.equal(c:region(), "b")
  t.equal(select(2, c:region()), "AWS_DEFAULT_REGION")
  t.equal(c:setting({ "AWS_EMPTY" }, "region"), "a")
  t.equal(select(2, c:setting({ "AWS_EMPTY" }, "region")), "/home/u/.aws/config:2")
  t.equal(c:flag({ "AWS_USE_FIPS_ENDPOINT" }, "use_fips_endpoint", false), true)
  t.equal(c:flag({}, "absent", false), false)
  t.raises("/home/u/.aws/config:4: true or false expected, got yes", c.flag, c, {},
    "use_dualstack_endpoint")
end)

t.test("sso-session and services sections", function()
  local c = load("[sso-session corp]\nsso_region = us-east-1\n[services dev]\nrds "
    .. "=\n  endpoint_url = http://h")
  t.equal(c:sso_session("corp"), { sso_region = "us-east-1" })
  t.equal(c:services_section("dev"), { rds = { endpoint_url = "http://h" } })
  t.raises("sso%-session \"crop\"", c.sso_session, c, "crop")
end)

t.test("any text parses or is refused with file and line", function()
  math.randomseed(4)
  local pieces = { "[", "]", "profile", " ", "=", "\n", "\n ", "#", ";", "a", "\t", "default", "\"",
    "\r\n", "\0" }
  for _ = 1, 5000 do
    local text = {}
    for i = 1, math.random(30) do text[i] = pieces[math.random(#pieces)] end
    local ok, e = pcall(ini.parse, table.concat(text), "f")
    t.ok(ok or tostring(e):find("^f:%d+: "), tostring(e))
  end
end)
