-- :Cowrite[!] {command} [prompt]
local M = {}

-- Commands that start a run and take a prompt. The person's own commands do too: whatever the server lists beyond
-- `control`.
local builtin = { 'ask', 'edit', 'explain', 'fix', 'test', 'document', 'review', 'run' }

-- Of the built-in ones only `fix` is about diagnostics; the person's own may be.
local about_words = {}
for _, name in ipairs(builtin) do
  about_words[name] = name ~= 'fix'
end

local control = {}
for _, name in ipairs({
  'cancel', 'status', 'events', 'sessions', 'compact', 'accept', 'reject', 'diff', 'undo', 'approve', 'deny', 'trust',
}) do
  control[name] = true
end

-- Nothing to do without a prompt.
local asks_for_prompt = { ask = true, edit = true, run = true }

---@param name string
---@return boolean
local function starts_run(name)
  return not control[name] and not name:match('^session%.')
end

---@param status table The answer of cowrite.status.
---@return string
local function status_text(status)
  local lines = { ('Cowrite: %s'):format(type(status.model) == 'string' and status.model or 'no model') }
  local context = type(status.context) == 'table' and status.context or {}
  if type(context.used) == 'number' and type(context.limit) == 'number' then
    local share = math.floor(context.used / math.max(context.limit, 1) * 100 + 0.5)
    local source = context.source or '?'
    table.insert(lines, ('context: %d of %d tokens, %d%% (%s)'):format(context.used, context.limit, share, source))
  end
  for _, run in ipairs(status.runs or {}) do
    table.insert(lines, ('%s  %s'):format(run.status, vim.split(run.prompt, '\n', { plain = true })[1]))
  end
  return table.concat(lines, '\n')
end

---@param verb string
---@return fun(result: table)
local function decided(verb)
  return function(result)
    local count = #result.hunks
    vim.notify(('Cowrite: %s %d change%s.'):format(verb, count, count == 1 and '' or 's'))
  end
end

---@type table<string, fun(result: table)>
local on_result = {
  accept = decided('took'),
  reject = decided('dropped'),
  -- It opens by itself.
  diff = function() end,
  cancel = function(result)
    if #result.cancelled == 0 then
      vim.notify('Cowrite: nothing is running.')
    end
  end,
  -- What comes of it is told as a message and as progress.
  compact = function(result)
    vim.notify('Cowrite: ' .. (result.started and 'compacting the conversation' or result.reason))
  end,
  status = function(result)
    vim.notify(status_text(result))
  end,
}

---@param client vim.lsp.Client
---@param name string
---@param argument table
local function execute(client, name, argument)
  local params = { command = 'cowrite.' .. name, arguments = { argument } }
  client:request('workspace/executeCommand', params, function(err, result)
    if err then
      vim.notify(('Cowrite: %s'):format(err.message), vim.log.levels.ERROR)
    elseif on_result[name] then
      on_result[name](result)
    elseif not starts_run(name) then
      vim.notify(('Cowrite: %s'):format(vim.inspect(result)))
    end
  end)
end

---@param client vim.lsp.Client
---@param name string
---@param opts vim.api.keyset.create_user_command.command_args
---@return table
local function place(client, name, opts)
  local bufnr = vim.api.nvim_get_current_buf()
  if not client.attached_buffers[bufnr] then
    return {}
  end
  local range, encoding = require('cowrite.range'), client.offset_encoding
  local argument = { uri = vim.uri_from_bufnr(bufnr) }
  local first, last
  if opts.range > 0 then
    first, last = opts.line1, opts.line2
    argument.range = range.of_command(bufnr, first, last, encoding)
  else
    argument.range = range.of_cursor(encoding)
  end
  if not about_words[name] then
    local found = range.diagnostics(bufnr, first, last, encoding)
    argument.diagnostics = #found > 0 and found or nil
  end
  return argument
end

--- Runs :Cowrite.
---@param opts vim.api.keyset.create_user_command.command_args
function M.run(opts)
  local name, prompt = opts.args:match('^(%S+)%s*(.-)%s*$')
  local client = require('cowrite').client()
  if not client then
    vim.notify('Cowrite: the server is not running; :checkhealth vim.lsp and :LspLog say why.', vim.log.levels.ERROR)
    return
  end
  if not starts_run(name) then
    local focus = name == 'compact' and prompt ~= ''
    execute(client, name, focus and { focus = prompt } or vim.empty_dict())
    return
  end

  local argument = place(client, name, opts)
  argument.mode = opts.bang and 'ask' or nil
  local function start(text)
    if text and text ~= '' then
      argument.prompt = text
    end
    execute(client, name, next(argument) and argument or vim.empty_dict())
  end
  if prompt == '' and asks_for_prompt[name] then
    vim.ui.input({ prompt = ('Cowrite %s: '):format(name) }, function(text)
      if text and text ~= '' then
        start(text)
      end
    end)
  else
    start(prompt)
  end
end

--- What the server listed at `initialize`, the person's own commands included; the built-in ones before it runs.
---@return string[]
local function names()
  local client = vim.lsp.get_clients({ name = 'cowrite' })[1]
  local listed = client and vim.tbl_get(client.server_capabilities, 'executeCommandProvider', 'commands')
  if not listed then
    return vim.list_extend({ 'cancel', 'status' }, builtin)
  end
  return vim.tbl_map(function(command)
    return (command:gsub('^cowrite%.', ''))
  end, listed)
end

--- Completes the first word.
---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  if not line:match('Cowrite%s+%S*$') then
    return {}
  end
  local found = vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, names())
  table.sort(found)
  return found
end

return M
