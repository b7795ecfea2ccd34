-- Cowrite: a language server that is a coding agent.
--
-- setup() hands the server to vim.lsp; the rooms behind it are command (:Cowrite), edit (what the server changes),
-- save (what a command should see on disk), diagnostics (what all servers report), answer (what the model says), review
-- (what waits for the person), ask (what it asks them) and range (what is selected).
local M = {}

---@class cowrite.Opts
---@field cmd? string[] How the server is started. Default: { 'cowrite' }, found on PATH.
---@field settings? table Cowrite's settings, in the shape of config.toml.
---@field filetypes? string[] Only these. Default: every buffer that stands for a file.

---@type cowrite.Opts
local defaults = { cmd = { 'cowrite' } }

---@type cowrite.Opts
local current = defaults

local enabled = false

local root_markers = { '.git', '.jj', '.hg', '.cowrite' }

---@param bufnr integer
---@return string
local function root_of(bufnr)
  return vim.fs.root(bufnr, root_markers) or vim.fn.getcwd()
end

---@param bufnr integer
---@return boolean
local function is_served(bufnr)
  local name = vim.api.nvim_buf_get_name(bufnr)
  local is_file = vim.bo[bufnr].buftype == '' and name ~= '' and not name:match('^%a[%w+.-]+://')
  return is_file and (not current.filetypes or vim.list_contains(current.filetypes, vim.bo[bufnr].filetype))
end

---@param opts cowrite.Opts
---@return vim.lsp.Config
local function server_config(opts)
  return {
    cmd = opts.cmd,
    filetypes = opts.filetypes,
    -- One server for each project; a file outside any project belongs to the working directory.
    root_dir = function(bufnr, on_dir)
      if is_served(bufnr) then
        on_dir(root_of(bufnr))
      end
    end,
    capabilities = { experimental = { cowrite = { events = true, save = true, diagnostics = true } } },
    init_options = opts.settings,
    settings = opts.settings and { cowrite = opts.settings },
    handlers = {
      ['cowrite/event'] = function(_, params, ctx)
        require('cowrite.answer').on_event(params)
        require('cowrite.review').on_event(params, ctx.client_id)
      end,
      ['cowrite/save'] = function(_, params)
        return require('cowrite.save').answer(params)
      end,
      ['cowrite/diagnostics'] = function(_, params)
        return require('cowrite.diagnostics').answer(params)
      end,
      ['window/showMessageRequest'] = function(err, params, ctx)
        return require('cowrite.ask').ask(err, params, ctx)
      end,
      ['workspace/applyEdit'] = function(_, params, ctx)
        return require('cowrite.edit').apply(params, ctx)
      end,
    },
    on_attach = function(client, bufnr)
      require('cowrite.review').attach(client, bufnr)
    end,
    -- The server looks at what the buffer really holds before it calls an edit applied, so it should hear soon.
    flags = { debounce_text_changes = 30 },
  }
end

-- vim.lsp.enable listens to FileType, which a file of no known type never raises.
---@param group integer
local function watch_files_without_a_type(group)
  vim.api.nvim_create_autocmd({ 'BufReadPost', 'BufNewFile', 'BufFilePost' }, {
    group = group,
    callback = function(event)
      vim.schedule(function()
        if vim.api.nvim_buf_is_loaded(event.buf) and vim.bo[event.buf].filetype == '' and is_served(event.buf) then
          M.start(event.buf)
        end
      end)
    end,
  })
end

--- Hands the server to vim.lsp; says what to do when there is none. Returns whether there is one.
---@return boolean
local function enable()
  if enabled then
    return true
  end
  if vim.fn.executable(current.cmd[1]) == 0 then
    vim.notify(
      ('Cowrite: cannot start the server: %s is not an executable on PATH. Install it with `cargo install cowrite`, '):format(
        current.cmd[1]
      ) .. "or name it: require('cowrite').setup{ cmd = { '/path/to/cowrite' } }.",
      vim.log.levels.ERROR
    )
    return false
  end
  enabled = true
  vim.lsp.config('cowrite', server_config(current))
  vim.lsp.enable('cowrite')
  local group = vim.api.nvim_create_augroup('cowrite', {})
  watch_files_without_a_type(group)
  require('cowrite.save').watch(group)
  return true
end

--- Starts the server for a buffer that has none. A buffer that is no file gets the working directory's.
---@param bufnr integer
function M.start(bufnr)
  if not enable() then
    return
  end
  local config = vim.deepcopy(vim.lsp.config.cowrite)
  local attach = is_served(bufnr)
  config.root_dir = attach and root_of(bufnr) or vim.fn.getcwd()
  vim.lsp.start(config, { bufnr = bufnr, attach = attach })
end

---@param opts? cowrite.Opts
function M.setup(opts)
  if vim.fn.has('nvim-0.11') == 0 then
    vim.notify('Cowrite: needs Neovim 0.11 or newer.', vim.log.levels.ERROR)
    return
  end
  current = vim.tbl_extend('force', defaults, opts or {})
  enabled = false
  enable()
end

--- The server for the current buffer, started and initialized when need be; else any that runs.
---@return vim.lsp.Client?
function M.client()
  local bufnr = vim.api.nvim_get_current_buf()
  local function find()
    return vim.lsp.get_clients({ name = 'cowrite', bufnr = is_served(bufnr) and bufnr or nil })[1]
  end
  local client = find()
  if client then
    return client
  end
  M.start(bufnr)
  -- The server answers `initialize` within milliseconds; one that does not is said to be missing.
  vim.wait(3000, function()
    client = find()
    return client ~= nil
  end, 10)
  return client
end

return M
