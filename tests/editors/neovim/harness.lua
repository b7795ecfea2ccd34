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

--- Adds lines to the settings of the project that was made last.
---@param lines string[]
function M.settings(lines)
  vim.fn.writefile(lines, vim.env.COWRITE_CONFIG, 'a')
end

---@class cowrite.test.Person
---@field keys fun(keys: string) Pressed in their terminal.
---@field sees fun(text: string) Waits until it is on their screen.
---@field asked fun(text: string) Waits until a list with this waits for its number.
---@field lua fun(code: string, ...: any): any Runs in their Neovim, which must not wait for a key.

--- A person before a Neovim in a terminal of its own, which takes real keys and has a screen. The plugin is there, and the file
--- open; `_G.said` holds what vim.notify said.
---@param path string
---@return cowrite.test.Person
function M.person(path)
  vim.o.columns, vim.o.lines = 110, 40
  local nvim, socket = vim.env.NVIM_UNDER_TEST, vim.fn.tempname()
  vim.fn.jobstart({ nvim, '--clean', '--headless', '--listen', socket })
  local channel
  M.wait('a Neovim', function()
    local ok, connected = pcall(vim.fn.sockconnect, 'pipe', socket, { rpc = true })
    channel = ok and connected
    return channel
  end)
  vim.cmd.enew()
  local terminal = vim.api.nvim_get_current_buf()
  -- A screen by itself: one that starts its own Neovim cannot where a loader has to start that.
  local job = vim.fn.jobstart({ nvim, '--server', socket, '--remote-ui' }, { term = true })
  local person = {}

  local function screen()
    return table.concat(vim.api.nvim_buf_get_lines(terminal, 0, -1, false), '\n')
  end
  function person.keys(keys)
    vim.fn.chansend(job, vim.keycode(keys))
  end
  function person.sees(text)
    local seen = vim.wait(15000, function()
      return screen():find(text, 1, true) ~= nil
    end, 10)
    if not seen then
      error(('waited 15 s to see: %s\nthe screen:\n%s'):format(text, screen()), 2)
    end
  end
  function person.asked(text)
    local mode
    local asked = vim.wait(15000, function()
      mode = vim.rpcrequest(channel, 'nvim_get_mode').mode
      -- A list reads a command line; what stands on the screen may be an older one.
      return mode == 'c' and screen():find(text, 1, true) ~= nil
    end, 10)
    if not asked then
      error(('waited 15 s to be asked: %s\nin mode %s, the screen:\n%s'):format(text, mode, screen()), 2)
    end
  end
  function person.lua(code, ...)
    if vim.rpcrequest(channel, 'nvim_get_mode').blocking then
      error(('it waits for a key; the screen:\n%s'):format(screen()), 2)
    end
    return vim.rpcrequest(channel, 'nvim_exec_lua', code, { ... })
  end

  person.sees('[No Name]')
  person.lua(
    [[
      local harness, path = ...
      local t = dofile(harness)
      t.plugin()
      _G.said = t.notifications()
      t.open(path)
    ]],
    vim.env.COWRITE_HARNESS,
    path
  )
  return person
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
