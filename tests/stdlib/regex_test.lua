-- Regular expressions against a table, and against grep where it has them.
local t = require "harness"
local regex = require "regex"

local function check(expression, want, ...)
  local matcher = assert(regex.compile(expression))
  for _, subject in ipairs { ... } do
    t.equal(matcher(subject), want, ("%s on %q"):format(expression, subject))
  end
end

t.test("what matches, and what does not", function()
  for _, row in ipairs {
    { "[a-z]+", { "abc" }, { "", "aB", "abc\n" } },
    { "", { "" }, { "a" } },
    { "^a|b$", { "a", "b" }, { "ab" } },
    { "a{2,3}", { "aa", "aaa" }, { "a", "aaaa" } },
    { "a{,2}", { "a{,2}" }, { "aa" } },
    { "(ab)*c", { "c", "ababc" }, { "abac" } },
    { "a+?b*?c??", { "a", "aabbc" }, { "b" } },
    { "(?!x)[a-z]+", { "ax" }, { "xa" } },
    { "(?=.*\\d)[a-z0-9]+", { "a1" }, { "ab" } },
    { "[a-z-]+(?<!-)", { "a-b" }, { "ab-" } },
    { "(?<=a)b|ab", { "ab" }, { "b" } },
    { "^(?!.*?(.)\\1{3})[a-z]*$", { "aaab" }, { "baaaa" } },
    { "\\bcat\\b.*", { "cat", "cat s" }, { "cats" } },
    { "(?i)true|[f]alse", { "TRUE", "false", "FALSE" }, { "yes" } },
    { "(?i:a)b", { "Ab" }, { "AB" } },
    { ".*", { "ab" }, { "a\nb" } },
    { "(?s).*", { "a\nb" }, {} },
    { "[\\w.-]+", { "a_1.-" }, { "a b" } },
    { "[]a]+", { "a]" }, { "b" } },
    { "[^\\]]+", { "a" }, { "]" } },
    { "[\\p{L}\\p{N}\\p{Z}_.:/=+\\-@]*", { "Größe 1", "名前", "а=б" }, { "a;b", "a€" } },
    { "\\P{C}+", { "a€ " }, { "a\0" } },
    { "[\\p{Print}&&[^|:/]]+", { "ab c" }, { "a:b" } },
    { "[\\x20-\\x7E\\u00e4]+", { "a~ä" }, { "ö" } },
    { "[^\\000-\\037]+", { "3a" }, { "a\1" } },
    { "\\p{Punct}\\p{Alnum}", { "!a" }, { "ab" } },
    { "a*+b", { "aab", "b" }, { "aa" } },
  } do
    check(row[1], true, table.unpack(row[2]))
    check(row[1], false, table.unpack(row[3]))
  end
end)

t.test("what is not understood is said", function()
  for expression, why in pairs { ["("] = "not closed", ["a)"] = "too many", ["[a"] = "too early",
      ["\\p{Klingon}"] = "unknown property Klingon", ["(?k)a"] = "unknown flag" } do
    local matcher, message = regex.compile(expression)
    t.equal(matcher, nil)
    t.contains(message, why)
  end
end)

t.test("an expression that would take for ever is given up, and long texts are not", function()
  check("(a*)*b", nil, ("a"):rep(30) .. "c")
  check("(a|aa)+$", true, ("a"):rep(5000))
  check("[a-z]*", true, ("a"):rep(90000))
  t.equal(regex.compile("a")("\xff"), nil)
end)

t.test("grep -P is of the same opinion about the models' patterns", function()
  local pipe = io.popen "printf 'a1\\n' | grep -cP '^a\\d$' 2>&1"
  local known = pipe:read "a" == "1\n"
  pipe:close()
  if not known then return t.skip "grep has no -P here" end
  local files = require "files"
  local subjects, text = {}, {}
  for _, each in ipairs { "a", "A-1", "my_name", "arn:aws:iam::123456789012:role/x",
    "arn:aws:sns:us-east-1:1:t",
      "12345", "eu-west-1", "a.b@c.de", "http://a.b/c?d", "2020-01-01T00:00:00Z", "a b", "/x/y",
      "-", "vpc-0123abcd", "true" } do
    table.insert(subjects, each)
    table.insert(text, each .. "\n")
  end
  local seen, compared = {}, 0
  files.temporary(function(directory)
    files.write(directory .. "/subjects", table.concat(text))
    for _, service in ipairs { "lambda", "backup", "ecs", "kms", "iam", "ssm", "dynamodb",
      "secretsmanager" } do
      for _, shape in ipairs(require("aws.model").open(service):constraints().shapes) do
        local pattern = shape.p
        if pattern and not seen[pattern] and not pattern:find "[\\][upP]"
          and not pattern:find "&&" then
          seen[pattern] = true
          files.write(directory .. "/pattern", pattern)
          local matching = {}
          local found = assert(
            io.popen(("cd %s; grep -xP -f pattern subjects 2>&1"):format(directory)))
          for line in found:lines() do matching[line] = true end
          local _, _, code = found:close()
          local matcher = assert(regex.compile(pattern))
          for _, subject in ipairs(code == 2 and {} or subjects) do -- 2: not one for grep
            t.equal(matcher(subject), matching[subject] or false, pattern .. " on " .. subject)
            compared = compared + 1
          end
        end
      end
    end
  end)
  t.ok(compared > 1000, compared .. " comparisons")
end)
