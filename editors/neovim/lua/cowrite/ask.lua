-- What the server asks, while the person may be typing.
local M = {}

--- Answers window/showMessageRequest with Neovim's own list, which takes whatever key comes next: so it opens once the person is in
--- normal mode, and until then they are told that something waits.
---@param err lsp.ResponseError?
---@param params lsp.ShowMessageRequestParams
---@param ctx lsp.HandlerContext
---@return any
function M.ask(err, params, ctx)
  local co = coroutine.running()
  if vim.api.nvim_get_mode().mode ~= 'n' then
    vim.notify(('Cowrite waits for you in normal mode: %s'):format(vim.split(params.message, '\n')[1]))
    vim.api.nvim_create_autocmd('ModeChanged', {
      pattern = '*:n',
      once = true,
      callback = function()
        vim.schedule(function()
          coroutine.resume(co)
        end)
      end,
    })
    coroutine.yield()
  end
  return vim.lsp.handlers['window/showMessageRequest'](err, params, ctx)
end

return M
