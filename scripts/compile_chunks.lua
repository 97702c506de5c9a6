--- Compiles the standard library ahead of time, so that a start does not parse it: the
-- same chunks that loading the source gives, with their line numbers.
--
-- Usage: drlua-stage1 script scripts/compile_chunks.lua TARGET FILE...
-- Writes each FILE's chunk to TARGET/FILE.
local function write(path, data)
  local file = assert(io.open(path, "wb"))
  assert(file:write(data))
  assert(file:close())
end

local target = arg[1]
for i = 2, #arg do
  local path = arg[i]
  local chunk = assert(loadfile(path, "t"))
  write(target .. "/" .. path, string.dump(chunk))
end
