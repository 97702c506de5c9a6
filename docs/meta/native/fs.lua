---@meta native.fs

-- Files. Failures: nil, message, kind.

local fs = {}

--- What is at the path, through links.
---@param path string
---@return table?
---@return string? message
---@return string? kind
function fs.stat(path) end

--- Of a link itself.
---@param path string
---@return table?
---@return string? message
---@return string? kind
function fs.lstat(path) end

--- The names in a directory, sorted.
---@param path string
---@return string[]?
---@return string? message
---@return string? kind
function fs.list(path) end

--- The paths that match a pattern, sorted.
---@param pattern string
---@return string[]?
---@return string? message
---@return string? kind
function fs.glob(pattern) end

--- Makes a directory (0700).
---@param path string
---@param mode? integer
---@return boolean?
---@return string? message
---@return string? kind
function fs.mkdir(path, mode) end

--- Removes a file or an empty directory.
---@param path string
---@return boolean?
---@return string? message
---@return string? kind
function fs.remove(path) end

--- Removes a directory and all in it.
---@param path string
---@return boolean?
---@return string? message
---@return string? kind
function fs.remove_tree(path) end

--- Renames.
---@param from string
---@param to string
---@return boolean?
---@return string? message
---@return string? kind
function fs.rename(from, to) end

--- Makes a link.
---@param target string
---@param path string
---@return boolean?
---@return string? message
---@return string? kind
function fs.symlink(target, path) end

--- What a link holds.
---@param path string
---@return string?
---@return string? message
---@return string? kind
function fs.readlink(path) end

--- Sets the mode.
---@param path string
---@param mode integer
---@return boolean?
---@return string? message
---@return string? kind
function fs.chmod(path, mode) end

--- Sets the owner.
---@param path string
---@param uid integer
---@param gid integer
---@return boolean?
---@return string? message
---@return string? kind
function fs.chown(path, uid, gid) end

--- The path without links.
---@param path string
---@return string?
---@return string? message
---@return string? kind
function fs.realpath(path) end

--- The contents.
---@param path string
---@return string?
---@return string? message
---@return string? kind
function fs.read(path) end

--- Writes and syncs; atomic by default.
---@param path string
---@param data string
---@param options? { mode: integer?, atomic: boolean?, append: boolean? }
---@return boolean?
---@return string? message
---@return string? kind
function fs.write(path, data, options) end

--- Writes over what is at the offset of a file that exists; sync makes it durable.
---@param path string
---@param offset integer
---@param data string
---@return boolean?
---@return string? message
---@return string? kind
function fs.overwrite(path, offset, data) end

--- Writes over what is there, from byte `offset` on, in a file that exists; not synced.
---@param path string
---@param offset integer
---@param data string
---@return boolean?
---@return string? message
---@return string? kind
function fs.overwrite(path, offset, data) end

---@class native.fs.lock
---@field holds fun(self, path: string): boolean whether path still names the locked file
---@field close fun(self)

--- An exclusive flock; nil, _, "busy" when another has it.
---@param path string
---@return native.fs.lock?
---@return string? message
---@return string? kind
function fs.lock(path) end

--- A new directory in TMPDIR.
---@param prefix string
---@return string?
---@return string? message
---@return string? kind
function fs.tempdir(prefix) end

--- Bytes of the file system.
---@param path string
---@return { free: integer, total: integer }?
---@return string? message
---@return string? kind
function fs.statfs(path) end

--- Syncs a file or a directory.
---@param path string
---@return boolean?
---@return string? message
---@return string? kind
function fs.sync(path) end

return fs
