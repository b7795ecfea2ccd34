-- Which buffer a document of the server's is.
local M = {}

--- The buffer of a file; none is made. (`bufnr()` would take the name for a pattern, and find a longer one.)
---@param uri string
---@return integer?
function M.of_uri(uri)
  if not vim.startswith(uri, 'file:') then
    return nil
  end
  local name = vim.uri_to_fname(uri)
  return vim.fn.bufexists(name) == 1 and vim.fn.bufadd(name) or nil
end

return M
