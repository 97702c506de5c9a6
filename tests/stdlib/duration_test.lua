-- duration: text to seconds and back.
local t = require "harness"
local duration = require "duration"

t.test("parsed", function()
  for text, seconds in pairs { ["90s"] = 90, ["30m"] = 1800, ["4h"] = 14400, ["7d"] = 604800,
    ["2w"] = 1209600,
    ["1h30m"] = 5400, ["1h 30m"] = 5400, ["250ms"] = 0.25, ["1.5h"] = 5400 } do
    t.equal(duration.parse(text), seconds, text)
  end
  t.equal(duration.parse(12), 12)
end)

t.test("refused, with what to write", function()
  for _, text in ipairs { "", "x", "5", "5 parsecs", "-3m", "1h-", "m" } do
    local n, why = duration.parse(text)
    t.equal(n, nil, text)
    t.contains(why, 'write "90s", "30m", "4h" or "7d"')
  end
  t.equal(duration.parse(-1), nil)
  t.equal(duration.parse(nil), nil)
end)

t.test("shown in its two greatest units", function()
  for seconds, text in pairs { [0] = "0s", [0.4] = "0.4s", [9.96] = "10s", [59.6] = "1m",
    [80] = "1m 20s",
    [3600] = "1h", [5400] = "1h 30m", [90061] = "1d 1h", [604800] = "7d" } do
    t.equal(duration.format(seconds), text)
  end
  t.equal(duration.format(-90), "-1m 30s")
end)
