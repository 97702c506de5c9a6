--- A raw TCP client for tests: what is sent and received is exactly what a test
-- says. bash opens the connection, so no code of ours is between.
local process = require "native.process"
local task = require "task"

local raw = {}
raw.__index = raw
raw.__close = function(self) self.proc:close() end

--- Connects to 127.0.0.1:port.
function raw.connect(port)
  local proc = assert(process.start {
    argv = { "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$0; cat <&3 & exec cat >&3 3<&-",
      tostring(port) },
    stdin = "pipe", stderr = "null",
  })
  return setmetatable({ proc = proc, text = "" }, raw)
end

function raw:send(text)
  assert(task.await(self.proc:write(text)))
end

--- Reads until the plain text has come; returns all up to its end. nil: the end
-- of the connection came first.
function raw:read_until(part)
  while true do
    local _, last = self.text:find(part, 1, true)
    if last then
      local found = self.text:sub(1, last)
      self.text = self.text:sub(last + 1)
      return found
    end
    local data = task.await(self.proc:read("stdout"))
    if not data then return nil end
    self.text = self.text .. data
  end
end

--- Reads to the end of the connection.
function raw:read_all()
  while true do
    local data = task.await(self.proc:read("stdout"))
    if not data then return self.text end
    self.text = self.text .. data
  end
end

function raw:close() self.proc:close() end

return raw
