--- aws.credentials: the chain.
local t = require "harness"
local credentials = require "aws.credentials"

local function resolve(world)
  local env = world.env or {}
  env.HOME = "/h"
  return credentials.resolve {
    env = env, profile = world.profile, region = world.region, http = world.http, now = world.now,
    read = function(path)
      local text = world.files and world.files[path]
      if text then return text end
      return nil, path .. ": No such file or directory", "missing"
    end,
  }
end

local function keys(set) return { set.access_key_id, set.secret_access_key, set.session_token } end

t.test("the environment's keys come first, but not before a profile asked for", function()
  local world = {
    env = { AWS_ACCESS_KEY_ID = "E", AWS_SECRET_ACCESS_KEY = "S", AWS_SESSION_TOKEN = "T", AWS_PROFILE = "p" },
    files = { ["/h/.aws/credentials"] = "[p]\naws_access_key_id = P\naws_secret_access_key = PS" },
  }
  local set = resolve(world)
  t.equal(keys(set), { "E", "S", "T" })
  t.equal(set.source, "the environment")
  world.profile = "p"
  t.equal(keys(resolve(world)), { "P", "PS" })
  world.profile, world.env.AWS_ACCESS_KEY_ID, world.env.AWS_SECRET_ACCESS_KEY = nil, nil, nil
  set = resolve(world)
  t.equal(keys(set), { "P", "PS" })
  t.equal(set.source, 'profile "p" (/h/.aws/credentials:2)')
end)

t.test("static keys may stand in the config file, with a token", function()
  t.equal(keys(resolve { files = { ["/h/.aws/config"] =
    "[default]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = C" } }), { "A", "B", "C" })
end)

t.test("half of a key pair is an error that names the other half", function()
  t.raises("AWS_SECRET_ACCESS_KEY is missing", resolve, { env = { AWS_ACCESS_KEY_ID = "E" } })
  t.raises("/h/.aws/config:2 has half of a key pair: aws_secret_access_key is missing", resolve,
    { files = { ["/h/.aws/config"] = "[default]\naws_access_key_id = A" } })
end)

t.test("an unknown option is refused", function()
  t.raises("unknown option profil; known: config", credentials.resolve, { profil = "x" })
end)
