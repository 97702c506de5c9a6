--- What the command line prints. Texts of programs, servers and playbooks are in it: what
-- would move the cursor, or hide or turn what stands around it, is written by its number.
local text = require "text"

local write = {}

--- Writes to stdout.
function write.out(...)
  io.stdout:write(text.printable(table.concat { ... }))
end

--- Writes one line to stdout; the further lines of a text are indented, so that none of
-- them passes for a line of ours.
function write.line(line)
  write.out((line:gsub("\n", "\n    ")), "\n")
end

--- Writes to stderr.
function write.err(...)
  io.stderr:write(text.printable(table.concat { ... }))
end

--- Writes a value as one line of JSON to stdout.
function write.json(data)
  io.stdout:write(text.printable_json(require("run.value").encode(data)), "\n")
end

return write
