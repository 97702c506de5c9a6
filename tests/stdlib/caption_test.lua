-- caption: what programs and requests are shown as.
local t = require "harness"
local caption = require "caption"
local confidential = require "confidential"

t.test("a program is shown with its arguments, as one would type them", function()
  for expected, argv in pairs {
    ["kubectl delete ns shop"] = { "/usr/bin/kubectl", "delete", "ns", "shop" },
    ["kubectl set env deployment/api DB=a -n x"] = { "kubectl", "set", "env", "deployment/api",
      "DB=a", "-n", "x" },
    ["psql -c 'drop table x; -- it'\\''s'"] = { "psql", "-c", "drop table x; -- it's" },
    ["sh -c 'a  b' ''"] = { "sh", "-c", "a  b", "" },
  } do
    t.equal(caption.command(argv), (expected:gsub("a  b", "a b")))
  end
  local long = caption.command { "sh", "-c", ("x"):rep(500), "last" }
  t.matches(long, "^sh %-c '?x+…'? last$")
  local many = { "tar" }
  for i = 2, 200 do many[i] = "file" .. i end
  t.ok(utf8.len(caption.command(many)) <= 200)
end)

t.test("a secret is masked before it could be cut in two", function()
  local former = confidential.mask
  t.cleanup(function() confidential.mask = former end)
  confidential.mask = function(s) return (s:gsub("hunter2000secret", "***")) end
  for pad = 40, 64 do
    local shown = caption.command { "x", ("p"):rep(pad) .. "hunter2000secret" }
    t.ok(not shown:find("hunter"), shown)
    t.ok(not caption.address("https://h/" .. ("p"):rep(pad + 60) .. "hunter2000secret")
      :find("hunter"))
  end
end)

t.test("an address has its path, without what may be a key", function()
  for url, expected in pairs {
    ["https://example.com"] = "example.com", ["https://example.com/"] = "example.com",
    ["https://user:word@example.com:8443/api/v1/silences?token=abc#x"] =
      "example.com:8443/api/v1/silences",
    ["https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"] =
      "hooks.slack.com/services/T00000000/B00000000/...",
    ["https://discord.com/api/webhooks/123456789012345678/aZ9_kQ3-x7Lm0pR5tV8wY2"] =
      "discord.com/api/webhooks/123456789012345678/...",
    ["https://api.telegram.org/bot123456:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/sendMessage"] =
      "api.telegram.org/.../sendMessage",
    ["https://x.example/hook/9f86d081-884c-4d65-9a2f-eaa0c55ad015/go"] = "x.example/hook/.../go",
    ["https://x.example/key/5f4dcc3b5aa765d61d8327deb882cf99"] = "x.example/key/...",
    ["https://events.pagerduty.com/v2/enqueue"] = "events.pagerduty.com/v2/enqueue",
    ["http://shop/orders/shop-restored-20261121/check"] =
      "shop/orders/shop-restored-20261121/check",
    ["not a url"] = "not a url",
  } do
    t.equal(caption.address(url), expected, url)
  end
end)
