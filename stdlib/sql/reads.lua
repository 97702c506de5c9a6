--- What a read may not be: statements and functions that a READ ONLY transaction lets
-- act on the server, on its files, or on other servers.
--
-- PostgreSQL refuses a READ ONLY transaction every change of tables. It does not refuse
-- pg_promote(), pg_terminate_backend(), a COPY to a program, REINDEX or NOTIFY. A read
-- is neither stopped by plan nor journaled by run, so these are refused here, by name.
-- Functions that run a text as SQL, or in a session of their own, are refused whatever
-- they are given. What a function of the database's own calls inside cannot be seen.
local errors = require "errors"

local reads = {}

-- The first word of what only reads.
local questions = { select = true, with = true, values = true, table = true, show = true,
  explain = true }

-- What EXPLAIN ANALYZE may run: a CREATE TABLE AS inside of it is not refused by READ ONLY.
local explained = { select = true, with = true, values = true, table = true }

-- What else to use, where it is not db:exec.
local tools = { copy = "db:copy_out or db:copy_in" }

local acting = {}
for name in ([[
  pg_promote pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_terminate_backend pg_cancel_backend
  pg_switch_wal pg_switch_xlog pg_create_restore_point pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup
  pg_wal_replay_pause pg_wal_replay_resume pg_xlog_replay_pause pg_xlog_replay_resume
  pg_log_backend_memory_contexts pg_log_standby_snapshot pg_logical_emit_message pg_notify set_config
  pg_stop_making_pinned_objects
  pg_create_physical_replication_slot pg_create_logical_replication_slot pg_copy_physical_replication_slot
  pg_copy_logical_replication_slot pg_drop_replication_slot pg_replication_slot_advance pg_sync_replication_slots
  pg_logical_slot_get_changes pg_logical_slot_get_binary_changes
  pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_advance
  pg_replication_origin_session_setup pg_replication_origin_session_reset
  pg_replication_origin_xact_setup pg_replication_origin_xact_reset
  lo_import lo_export lo_unlink lo_create lo_creat lo_put lo_from_bytea lowrite lo_truncate lo_truncate64
  pg_file_write pg_file_rename pg_file_unlink pg_file_sync pg_import_system_collations
  brin_summarize_new_values brin_summarize_range brin_desummarize_range gin_clean_pending_list
  pg_truncate_visibility_map autoprewarm_start_worker autoprewarm_dump_now pg_background_launch
  pg_restore_relation_stats pg_restore_attribute_stats pg_clear_relation_stats pg_clear_attribute_stats
  cursor_to_xml cursor_to_xmlschema ts_stat ts_rewrite connectby xpath_table
  query_export_to_s3 table_import_from_s3 aws_lambda.invoke
  cron.schedule cron.schedule_in_database cron.unschedule cron.alter_job]]):gmatch("%S+") do
  acting[name] = true
end

local acting_like = { "^pg_advisory_", "^pg_try_advisory_", "^pg_stat_reset", "^pg_stat_%w+_reset$",
  "^dblink",
  "^query_to_xml", "^crosstab", "^heap_force_", "^pg_buffercache_evict", "^binary_upgrade_" }

local function acts(name, qualified)
  if acting[name] or acting[qualified] then return true end
  for _, pattern in ipairs(acting_like) do
    if name:find(pattern) then return true end
  end
  return false
end

-- The place after a comment at i, which may hold further ones, or nil.
local function after_comment(text, i)
  if text:find("^%-%-", i) then return text:match("^[^\r\n]*()", i) end
  if not text:find("^/%*", i) then return nil end
  local depth = 0
  repeat
    local at, mark = text:match("()([/*][/*])", i)
    if not at then return #text + 1 end
    if mark == "/*" then depth = depth + 1 elseif mark == "*/" then depth = depth - 1 end
    i = at + ((mark == "/*" or mark == "*/") and 2 or 1)
  until depth == 0
  return i
end

-- The place after the text in quotes that opens at i. With escapes a backslash takes
-- the next character along; a doubled quote stands for itself, and goes on either way.
local function after_quoted(text, i, quote, escapes)
  i = i + 1
  while i <= #text do
    local char = text:sub(i, i)
    if char == "\\" and escapes then
      i = i + 1
    elseif char == quote then
      if text:sub(i + 1, i + 1) ~= quote then return i + 1 end
      i = i + 1
    end
    i = i + 1
  end
  return i
end

-- The place after the literal at i, and whether it takes escapes, or nil. A literal that
-- goes on in the next line takes them as its beginning did.
local function after_literal(text, i, last)
  local prefix = text:match("^([eEbBxXnN]?)'", i) or text:match("^([uU]&)'", i)
  if prefix then
    local escapes = prefix:lower() == "e" or (prefix == "" and last ~= nil and last.escapes) or nil
    return after_quoted(text, i + #prefix, "'", escapes), escapes
  end
  local tag = text:match("^%$[%a_\x80-\xff]?[%w_\x80-\xff]*%$", i)
  if not tag or tag:find("^%$%d") then return nil end
  local _, stop = text:find(tag, i + #tag, true)
  return (stop or #text) + 1
end

-- A statement's tokens without comments: { kind = "word" | "quoted" | "literal" | "sign",
-- text }, words in lower case.
local function tokens_of(text)
  local list, i = {}, 1
  local function add(kind, token, stop, escapes)
    table.insert(list, { kind = kind, text = token, escapes = escapes })
    i = stop
  end
  while i <= #text do
    local stop, escapes = text:match("^%s+()", i) or after_comment(text, i)
    if stop then
      i = stop
    else
      stop, escapes = after_literal(text, i, list[#list])
      if stop then
        add("literal", "", stop, escapes)
      elseif text:find('^"', i) then
        stop = after_quoted(text, i, '"')
        add("quoted", (text:sub(i + 1, stop - 2):gsub('""', '"')), stop)
      elseif text:find('^[uU]&"', i) then
        add("escaped", 'U&"..."', after_quoted(text, i + 2, '"'))
      else
        local word = text:match("^[%a_\x80-\xff][%w_$\x80-\xff]*", i)
        if word then
          add("word", word:lower(), i + #word)
        else
          add("sign", text:sub(i, i), i + 1)
        end
      end
    end
  end
  return list
end

local function is_sign(token, text)
  return token ~= nil and token.kind == "sign" and token.text == text
end

local function first_word(tokens)
  for _, token in ipairs(tokens) do
    if not is_sign(token, "(") and not is_sign(token, ";") then
      return token.kind == "word" and token.text or ""
    end
  end
  return ""
end

-- The place of the closing parenthesis of the one at i.
local function closing(tokens, i)
  local depth = 0
  for at = i, #tokens do
    depth = depth + (is_sign(tokens[at], "(") and 1 or is_sign(tokens[at], ")") and -1 or 0)
    if depth == 0 then return at end
  end
  return #tokens
end

-- Whether the tokens from `from` to `to` have this word.
local function has_word(tokens, from, to, ...)
  for i = from, to do
    for _, word in ipairs { ... } do
      if tokens[i].kind == "word" and tokens[i].text == word then return true end
    end
  end
  return false
end

-- EXPLAIN ANALYZE runs its statement, in which CREATE TABLE AS and SELECT INTO write.
local function refuse_explain(tokens, level)
  local start = 1
  while is_sign(tokens[start], "(") or is_sign(tokens[start], ";") do start = start + 1 end
  local first = start + 1
  if is_sign(tokens[first], "(") and tokens[first + 1] and tokens[first + 1].kind == "word"
    and not explained[tokens[first + 1].text] then
    first = closing(tokens, first) + 1
  end
  while tokens[first] and has_word(tokens, first, first, "analyze", "analyse", "verbose") do
    first = first + 1
  end
  if not has_word(tokens, start, first - 1, "analyze", "analyse") then return end
  local inner = table.move(tokens, first, #tokens, 1, {})
  if not explained[first_word(inner)] or has_word(inner, 1, #inner, "into") then
    errors.misuse(level + 1,
      "EXPLAIN ANALYZE runs its statement, and this one writes: use db:exec, "
      .. "which is an effect")
  end
end

local function refuse_functions(tokens, level)
  for i, token in ipairs(tokens) do
    if token.kind == "escaped" then
      errors.misuse(level + 1, 'a name written U&"..." is not accepted in a read: write it out')
    end
    if (token.kind == "word" or token.kind == "quoted") and is_sign(tokens[i + 1], "(") then
      local schema = i > 2 and is_sign(tokens[i - 1], ".") and tokens[i - 2].text or ""
      if acts(token.text, schema .. "." .. token.text) then
        errors.misuse(level + 1,
          "%s() is no read: it acts outside of what a READ ONLY transaction guards. Use "
          .. "db:exec, which is an effect", token.text)
      end
    end
  end
end

local function statement_of(statement, level)
  if type(statement) ~= "string" then
    errors.misuse(level + 1, "a statement expected, got %s", type(statement))
  end
  return tokens_of(statement)
end

--- Refuses a statement that is no read, as a misuse of the caller at `level` (as of
-- errors.misuse). within: it is a part of a transaction, which is an effect, where all
-- but a COPY is fine.
function reads.refuse(statement, level, within)
  local tokens = statement_of(statement, level + 1)
  local word = first_word(tokens)
  if tools[word] or not (within or questions[word]) then
    errors.misuse(level + 1, "%s is no query: use %s", word ~= "" and word:upper() or "this",
      tools[word] or "db:exec")
  end
  if within then return end
  if word == "explain" then refuse_explain(tokens, level + 1) end
  refuse_functions(tokens, level + 1)
end

-- Whether the tokens are a COPY ... TO STDOUT: what follows TO outside of parentheses.
local function is_copy_out(tokens)
  local depth, found = 0, false
  for i, token in ipairs(tokens) do
    if is_sign(token, "(") then depth = depth + 1 elseif is_sign(token, ")") then depth = depth
      - 1 end
    if depth == 0 and token.kind == "word" and token.text == "to" then
      local target = tokens[i + 1]
      if found or not target or target.kind ~= "word" or target.text ~= "stdout" then
        return false
      end
      found = true
    end
  end
  return found and first_word(tokens) == "copy"
end

--- Refuses what is no COPY ... TO STDOUT, or no read; level and within as of
-- reads.refuse.
function reads.refuse_copy(statement, level, within)
  local tokens = statement_of(statement, level + 1)
  if not is_copy_out(tokens) then
    errors.misuse(level + 1, "db:copy_out takes a COPY ... TO STDOUT")
  end
  if not within then refuse_functions(tokens, level + 1) end
end

--- The tokens of a text of SQL, without comments: a list of { kind = "word" (lower case)
-- | "quoted" | "escaped" | "literal" (its text left out) | "sign", text }.
function reads.tokens(statement)
  return tokens_of(statement)
end

return reads
