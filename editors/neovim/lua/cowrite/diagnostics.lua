-- What all language servers report, for the server to ask: the editor alone knows it.
local M = {}

---@param one vim.Diagnostic
---@return table
local function reported(one)
  -- What came over LSP is passed on as it came.
  local lsp = one.user_data and one.user_data.lsp
  return {
    range = {
      start = { line = one.lnum, character = one.col },
      ['end'] = { line = one.end_lnum or one.lnum, character = one.end_col or one.col },
    },
    severity = one.severity,
    source = one.source,
    code = one.code or (lsp and lsp.code),
    message = one.message,
  }
end

--- Answers `cowrite/diagnostics`: for these documents, or for all when there is none.
---@param params { uris: string[] }
---@return { items: { uri: string, diagnostics: table[] }[] }
function M.answer(params)
  local buffers = {} ---@type table<integer, string>
  for _, uri in ipairs(params.uris) do
    local bufnr = require('cowrite.buffer').of_uri(uri)
    if bufnr then
      buffers[bufnr] = uri
    end
  end
  if #params.uris == 0 then
    for _, one in ipairs(vim.diagnostic.get()) do
      if vim.api.nvim_buf_get_name(one.bufnr) ~= '' then
        buffers[one.bufnr] = vim.uri_from_bufnr(one.bufnr)
      end
    end
  end
  local items = {}
  for bufnr, uri in pairs(buffers) do
    table.insert(items, { uri = uri, diagnostics = vim.tbl_map(reported, vim.diagnostic.get(bufnr)) })
  end
  -- A document that no buffer holds has nothing reported.
  return { items = items }
end

return M
