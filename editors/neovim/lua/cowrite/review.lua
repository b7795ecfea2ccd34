-- What waits for the person: lenses above the lines, Cowrite's own and nobody else's.
local M = {}

-- Neovim 0.12 asks for lenses by itself: when a buffer changes, and when the server says so.
---@type (fun(enable: boolean, filter: table))?
local enable = vim.lsp.codelens.enable

-- After these there are other ones.
local changes = { editProposed = true, editApplied = true, editRejected = true }

---@param client vim.lsp.Client
---@param bufnr integer
local function ask(client, bufnr)
  if not vim.api.nvim_buf_is_loaded(bufnr) then
    return
  end
  local params = { textDocument = vim.lsp.util.make_text_document_params(bufnr) }
  client:request('textDocument/codeLens', params, vim.lsp.codelens.on_codelens, bufnr)
end

--- Shows the lenses of a buffer from now on.
---@param client vim.lsp.Client
---@param bufnr integer
function M.attach(client, bufnr)
  if enable then
    enable(true, { client_id = client.id })
    return
  end
  ask(client, bufnr)
  vim.api.nvim_create_autocmd({ 'BufEnter', 'TextChanged', 'InsertLeave' }, {
    group = vim.api.nvim_create_augroup(('cowrite.review.%d'):format(bufnr), {}),
    buffer = bufnr,
    callback = function()
      local attached = vim.lsp.get_clients({ name = 'cowrite', bufnr = bufnr })[1]
      if not attached then
        return true
      end
      ask(attached, bufnr)
    end,
  })
end

--- Takes one cowrite/event.
---@param params { event: table }
---@param client_id integer
function M.on_event(params, client_id)
  local client = not enable and changes[params.event.type] and vim.lsp.get_client_by_id(client_id)
  if not client then
    return
  end
  for bufnr in pairs(client.attached_buffers) do
    ask(client, bufnr)
  end
end

return M
