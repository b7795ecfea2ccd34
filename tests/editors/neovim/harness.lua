-- What the stories share: a project and settings in a temporary folder, the plugin, and checks that end the process.
local M = {}

local here = vim.fs.dirname(vim.fs.normalize(debug.getinfo(1, 'S').source:sub(2)))
local repository = vim.fs.dirname(vim.fs.dirname(vim.fs.dirname(here)))

M.binary = assert(vim.env.COWRITE_BIN, 'COWRITE_BIN names the server to test')

---@param path string
---@param text string
local function write(path, text)
  vim.fn.mkdir(vim.fs.dirname(path), 'p')
  vim.fn.writefile(vim.split(text, '\n', { plain = true }), path)
end

--- A project with one file, and settings that play `script`. Environment variables make the server find them.
---@param script table A conversation of the scripted model.
---@param content string The file's content, without the last line end.
---@return string path The file.
function M.project(script, content)
  local folder = vim.fn.tempname()
  write(folder .. '/conversation.json', vim.json.encode(script))
  write(folder .. '/config.toml', table.concat({
    'model = "scripted/test"',
    '[providers.scripted]',
    'kind = "script"',
    ('path = %q'):format(folder .. '/conversation.json'),
  }, '\n'))
  vim.env.COWRITE_CONFIG = folder .. '/config.toml'
  vim.env.COWRITE_STATE_DIR = folder .. '/state'
  vim.fn.mkdir(folder .. '/project/.git', 'p')
  write(folder .. '/project/poem.txt', content)
  return folder .. '/project/poem.txt'
end

--- The plugin, as a person's configuration loads it.
function M.plugin()
  vim.opt.runtimepath:prepend(repository .. '/editors/neovim')
  vim.cmd.runtime('plugin/cowrite.lua')
  require('cowrite').setup({ cmd = { M.binary } })
end

---@param what string
---@param condition fun(): any
function M.wait(what, condition)
  if not vim.wait(15000, function()
    return condition() and true
  end, 10) then
    error(('waited 15 s for: %s'):format(what), 2)
  end
end

---@param what string
---@param expected any
---@param found any
function M.equal(what, expected, found)
  if not vim.deep_equal(expected, found) then
    error(('%s\nexpected: %s\nfound:    %s'):format(what, vim.inspect(expected), vim.inspect(found)), 2)
  end
end

---@return string[]
function M.lines()
  return vim.api.nvim_buf_get_lines(0, 0, -1, false)
end

--- Opens the file and waits for the server.
---@param path string
function M.open(path)
  vim.cmd.edit(path)
  M.wait('the server', function()
    return #vim.lsp.get_clients({ name = 'cowrite', bufnr = 0 }) > 0
  end)
end

--- The kinds of progress that are reported from now on, in order.
---@return string[]
function M.progress()
  local kinds = {}
  vim.api.nvim_create_autocmd('LspProgress', {
    callback = function(event)
      table.insert(kinds, event.data.params.value.kind)
    end,
  })
  return kinds
end

--- The texts of vim.notify from now on.
---@return string[]
function M.notifications()
  local texts = {}
  vim.notify = function(text)
    table.insert(texts, text)
  end
  return texts
end

--- Waits until the newest of these texts holds this one.
---@param said string[] What `notifications` gave.
---@param text string
function M.hears(said, text)
  local heard = vim.wait(15000, function()
    return said[#said] ~= nil and said[#said]:find(text, 1, true) ~= nil
  end, 10)
  if not heard then
    error(('waited 15 s to hear: %s\nheard: %s'):format(text, vim.inspect(said)), 2)
  end
end

--- The server's answer to a command without arguments.
---@param name string The command, without `cowrite.`.
---@return table
function M.ask(name)
  local client = assert(require('cowrite').client(), 'no server')
  local params = { command = 'cowrite.' .. name, arguments = { vim.empty_dict() } }
  local answer = assert(client:request_sync('workspace/executeCommand', params, 15000, 0))
  return assert(answer.result, vim.inspect(answer.err))
end

--- Runs a story and leaves with 0 when it went well.
---@param story fun()
function M.story(story)
  local ok, trace = xpcall(story, debug.traceback)
  if not ok then
    io.stderr:write(trace, '\n')
    vim.cmd('cquit 1')
  end
  vim.cmd('qall!')
end

return M
