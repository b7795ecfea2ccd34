-- What the server changes in buffers: each request is one step of undo, and the answer is true.
local M = {}

-- Closes the buffer's undo block, also while the person is inserting: what they typed before and what they type after
-- stay steps of their own. Setting 'undolevels' to what it is does just that.
---@param buffers table<integer, any>
local function close_undo_blocks(buffers)
  for bufnr in pairs(buffers) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      vim.api.nvim_buf_call(bufnr, function()
        vim.cmd('noautocmd let &l:undolevels = &l:undolevels')
      end)
    end
  end
end

---@param edit lsp.WorkspaceEdit
---@return table<integer, integer|false> The version that the edit was made for, by buffer; false where it names none.
local function buffers_of(edit)
  local buffers = {}
  for _, change in ipairs(edit.documentChanges or {}) do
    if change.textDocument then
      local version = change.textDocument.version
      buffers[vim.uri_to_bufnr(change.textDocument.uri)] = type(version) == 'number' and version
    end
  end
  for uri in pairs(edit.changes or {}) do
    buffers[vim.uri_to_bufnr(uri)] = false
  end
  return buffers
end

-- A buffer without text is one empty line, and what is put before that leaves it behind the last line break.
---@param bufnr integer
local function drop_empty_end(bufnr)
  local ends = vim.bo[bufnr].endofline or (vim.bo[bufnr].fixendofline and not vim.bo[bufnr].binary)
  local count = vim.api.nvim_buf_line_count(bufnr)
  if ends and count > 1 and vim.api.nvim_buf_get_lines(bufnr, -2, -1, false)[1] == '' then
    vim.api.nvim_buf_set_lines(bufnr, -2, -1, false, {})
  end
end

---@param bufnr integer
---@return boolean
local function is_empty(bufnr)
  if vim.api.nvim_buf_is_loaded(bufnr) then
    return vim.api.nvim_buf_line_count(bufnr) == 1 and vim.api.nvim_buf_get_lines(bufnr, 0, 1, false)[1] == ''
  end
  local file = vim.uv.fs_stat(vim.api.nvim_buf_get_name(bufnr))
  return not file or file.size == 0
end

--- Answers workspace/applyEdit. Neovim's own handler skips a change that is too old and says that it was applied, and
--- never holds version 0 against the buffer; here a change made for another version is refused.
---@param params lsp.ApplyWorkspaceEditParams
---@param ctx lsp.HandlerContext
---@return lsp.ApplyWorkspaceEditResult
function M.apply(params, ctx)
  local client = assert(vim.lsp.get_client_by_id(ctx.client_id))
  local buffers = buffers_of(params.edit)
  for bufnr, version in pairs(buffers) do
    local now = vim.lsp.util.buf_versions[bufnr]
    if version and client.attached_buffers[bufnr] and now ~= version then
      local name = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(bufnr), ':~:.')
      return {
        applied = false,
        failureReason = ('%s is at version %d; the change was made for %d'):format(name, now, version),
      }
    end
  end

  local empty = vim.tbl_filter(is_empty, vim.tbl_keys(buffers))
  close_undo_blocks(buffers)
  local ok, err = pcall(vim.lsp.util.apply_workspace_edit, params.edit, client.offset_encoding)
  vim.tbl_map(drop_empty_end, vim.tbl_filter(vim.api.nvim_buf_is_loaded, empty))
  close_undo_blocks(buffers)
  return { applied = ok, failureReason = not ok and tostring(err) or nil }
end

return M
