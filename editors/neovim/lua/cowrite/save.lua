-- Saves what the server asks for: a command that it runs reads the disk.
local M = {}

-- What the file of a buffer was when the buffer last held what it holds.
---@type table<integer, string>
local known = {}

---@param bufnr integer
---@return string
local function file_of(bufnr)
  local file = vim.uv.fs_stat(vim.api.nvim_buf_get_name(bufnr))
  return file and ('%d.%09d %d'):format(file.mtime.sec, file.mtime.nsec, file.size) or 'none'
end

--- Looks from now on at what others do to the files of buffers.
---@param group integer
function M.watch(group)
  vim.api.nvim_create_autocmd({ 'BufReadPost', 'BufNewFile', 'BufFilePost', 'BufWritePost', 'FileChangedShellPost' }, {
    group = group,
    callback = function(event)
      known[event.buf] = file_of(event.buf)
    end,
  })
  vim.api.nvim_create_autocmd('BufWipeout', {
    group = group,
    callback = function(event)
      known[event.buf] = nil
    end,
  })
end

---@param uri string
---@return boolean
local function save(uri)
  local bufnr = require('cowrite.buffer').of_uri(uri)
  if not bufnr or not vim.api.nvim_buf_is_loaded(bufnr) or vim.bo[bufnr].buftype ~= '' then
    return false
  end
  local file = file_of(bufnr)
  if not vim.bo[bufnr].modified and file ~= 'none' then
    return true
  end
  -- Over what another program has written, `:write` asks, and takes the key that the person happens to type for an answer.
  if known[bufnr] and known[bufnr] ~= file then
    return false
  end
  local ok = pcall(vim.api.nvim_buf_call, bufnr, function()
    vim.cmd('silent write')
  end)
  return ok and not vim.bo[bufnr].modified
end

--- Answers `cowrite/save`: with the documents whose files now hold what their buffers hold.
---@param params { uris: string[] }
---@return { saved: string[] }
function M.answer(params)
  return { saved = vim.tbl_filter(save, params.uris) }
end

return M
