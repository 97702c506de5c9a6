--- Categories of Unicode for regular expressions: exact in ASCII and Latin-1, by blocks
-- beyond.
local unicode = {}

-- First and last code points by category; what is in none of them is a letter.
local RANGES = {
  C = { 0, 31, 127, 159, 0xAD, 0xAD, 0x200B, 0x200F, 0x202A, 0x202E, 0x2060, 0x206F, 0xD800, 0xF8FF,
    0xFEFF, 0xFEFF,
    0xFFF0, 0xFFFB, 0xE0000, 0xE0FFF, 0xF0000, 0x10FFFF },
  Z = { 32, 32, 0xA0, 0xA0, 0x1680, 0x1680, 0x2000, 0x200A, 0x2028, 0x2029, 0x202F, 0x202F, 0x205F,
    0x205F,
    0x3000, 0x3000 },
  N = { 48, 57, 0xB2, 0xB3, 0xB9, 0xB9, 0xBC, 0xBE, 0x660, 0x669, 0x6F0, 0x6F9, 0x966, 0x96F, 0x9E6,
    0x9EF, 0xE50, 0xE59, 0x2070, 0x2079, 0x2080, 0x2089, 0x2150, 0x218B, 0x2460, 0x249B, 0x24EA,
    0x24FF, 0x2776, 0x2793,
    0x3007, 0x3007, 0x3021, 0x3029, 0x3220, 0x3229, 0x3280, 0x3289, 0xFF10, 0xFF19 },
  M = { 0x300, 0x36F, 0x483, 0x489, 0x591, 0x5BD, 0x610, 0x61A, 0x64B, 0x65F, 0x670, 0x670, 0x900,
    0x903, 0x93A, 0x93C, 0x93E, 0x94F, 0xE31, 0xE31, 0xE34, 0xE3A, 0xE47, 0xE4E, 0x1AB0, 0x1AFF,
    0x1DC0, 0x1DFF, 0x20D0, 0x20FF,
    0x302A, 0x302F, 0x3099, 0x309A, 0xFE00, 0xFE0F, 0xFE20, 0xFE2F },
  S = { 36, 36, 43, 43, 60, 62, 94, 94, 96, 96, 124, 124, 126, 126, 0xA2, 0xA6, 0xA8, 0xA9, 0xAC,
    0xAC, 0xAE, 0xB1, 0xB4, 0xB4, 0xB8, 0xB8, 0xD7, 0xD7, 0xF7, 0xF7, 0x2C2, 0x2C5, 0x2D2, 0x2DF,
    0x207A, 0x207C, 0x208A, 0x208C, 0x20A0, 0x20CF, 0x2100, 0x2101, 0x2116, 0x2117, 0x2120, 0x2123,
    0x2190, 0x23FF, 0x2500, 0x2767, 0x2794, 0x27E5,
    0x27F0, 0x2982, 0x2999, 0x29D7, 0x29DC, 0x2BFF, 0x309B, 0x309C, 0xFF04, 0xFF04, 0xFF0B, 0xFF0B,
    0xFF1C, 0xFF1E,
    0xFFE0, 0xFFE6, 0xFFFC, 0xFFFD, 0x1F000, 0x1FAFF },
  P = { 33, 35, 37, 42, 44, 47, 58, 59, 63, 64, 91, 93, 95, 95, 123, 123, 125, 125, 0xA1, 0xA1,
    0xA7, 0xA7, 0xAB, 0xAB, 0xB6, 0xB7, 0xBB, 0xBB, 0xBF, 0xBF, 0x2010, 0x2027, 0x2030, 0x205E,
    0x207D, 0x207E, 0x2308, 0x230B, 0x2768, 0x2775, 0x27E6, 0x27EF, 0x2983, 0x2998, 0x29D8, 0x29DB,
    0x2E00, 0x2E7F, 0x3001, 0x3003, 0x3008, 0x3011,
    0x3014, 0x301F, 0x30FB, 0x30FB, 0xFE30, 0xFE6F, 0xFF01, 0xFF03, 0xFF05, 0xFF0A, 0xFF0C, 0xFF0F,
    0xFF1A, 0xFF1B,
    0xFF1F, 0xFF20, 0xFF3B, 0xFF3D, 0xFF3F, 0xFF3F, 0xFF5B, 0xFF65 },
}

local function within(ranges)
  return function(c)
    for i = 1, #ranges, 2 do
      if c >= ranges[i] and c <= ranges[i + 1] then return true end
    end
    return false
  end
end

local sets = {}
for name, ranges in pairs(RANGES) do sets[name] = within(ranges) end

-- The punctuation inside of S's blocks comes first.
local ORDER = { "C", "Z", "N", "M", "P", "S" }

local function category(c)
  for _, name in ipairs(ORDER) do
    if sets[name](c) then return name end
  end
  return "L"
end

local function of(wanted)
  return function(c) return wanted:find(category(c), 1, true) ~= nil end
end

local function upper(c) return c >= 65 and c <= 90 end
local function lower(c) return c >= 97 and c <= 122 end
local function digit(c) return c >= 48 and c <= 57 end
local function alpha(c) return upper(c) or lower(c) end
local function alnum(c) return alpha(c) or digit(c) end
local function graph(c) return c > 32 and c < 127 end
-- Beyond ASCII the two cases are not distinguished.
local function cased(ascii)
  return function(c)
    if c < 128 then return ascii(c) end
    return category(c) == "L"
  end
end

local PROPERTIES = {
  L = of "L", N = of "N", Z = of "Z", P = of "P", S = of "S", M = of "M", C = of "C",
  Lu = cased(upper), Ll = cased(lower), Lt = cased(upper), Lm = of "L", Lo = of "L", LD = of "LN",
  LC = of "L", Nd = of "N", Nl = of "N", No = of "N", Mn = of "M", Mc = of "M", Me = of "M",
  Zs = function(c) return category(c) == "Z" and c ~= 0x2028 and c ~= 0x2029 end,
  Zl = function(c) return c == 0x2028 end, Zp = function(c) return c == 0x2029 end,
  Cc = function(c) return c < 32 or c >= 127 and c <= 159 end,
  Cf = function(c) return category(c) == "C" and c > 159 and not (c >= 0xD800 and c <= 0xF8FF) end,
  Pc = within { 95, 95, 0x203F, 0x2040, 0x2054, 0x2054, 0xFE33, 0xFE34, 0xFF3F, 0xFF3F },
  Pd = within { 45, 45, 0x2010, 0x2015, 0x301C, 0x301C, 0xFE58, 0xFE58, 0xFE63, 0xFE63, 0xFF0D,
    0xFF0D },
  Po = of "P", Ps = of "P", Pe = of "P", Pi = of "P", Pf = of "P",
  Sc = within { 36, 36, 0xA2, 0xA5, 0x20A0, 0x20CF }, Sm = of "S", Sk = of "S", So = of "S",
  ASCII = function(c) return c < 128 end, all = function() return true end,
  Alnum = alnum, Alpha = alpha, Digit = digit, Upper = upper, Lower = lower, Graph = graph,
  Print = function(c) return c >= 32 and c < 127 end,
  Blank = function(c) return c == 32 or c == 9 end,
  Punct = function(c) return graph(c) and not alnum(c) end,
  Cntrl = function(c) return c < 32 or c == 127 end,
  XDigit = function(c) return digit(c) or c >= 65 and c <= 70 or c >= 97 and c <= 102 end,
  Space = function(c) return c == 32 or c >= 9 and c <= 13 end,
  Alphabetic = of "LM",
  White_Space = function(c) return category(c) == "Z" or c >= 9 and c <= 13 or c == 0x85 end,
}
PROPERTIES.Whitespace, PROPERTIES.Letter = PROPERTIES.White_Space, PROPERTIES.L

--- The set of a property as \p{NAME} names it: function(code point) -> boolean; nil for
-- an unknown one.
function unicode.property(name)
  return PROPERTIES[name] or PROPERTIES[(name:gsub("^Is", ""))]
end

return unicode
