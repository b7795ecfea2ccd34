-- Places, as the server counts them: what is selected, where the cursor is, what is diagnosed.
local M = {}

---@param bufnr integer
---@param row integer From 0.
---@return string
local function line_at(bufnr, row)
  return vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
end

---@param bufnr integer
---@param row integer From 0.
---@param byte integer From 0; past the end means the end.
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Position
local function position(bufnr, row, byte, encoding)
  local line = line_at(bufnr, row)
  return { line = row, character = vim.str_utfindex(line, encoding, math.min(byte, #line), false) }
end

---@param bufnr integer
---@param first integer From 1.
---@param last integer From 1.
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Range
local function whole_lines(bufnr, first, last, encoding)
  local stop = { line = last, character = 0 }
  if last >= vim.api.nvim_buf_line_count(bufnr) then
    stop = position(bufnr, last - 1, math.huge, encoding)
  end
  return { start = { line = first - 1, character = 0 }, ['end'] = stop }
end

--- The range of an Ex command: the very characters when it is the last charwise selection, else whole lines.
---@param bufnr integer
---@param first integer The command's first line, from 1.
---@param last integer The command's last line, from 1.
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Range
function M.of_command(bufnr, first, last, encoding)
  local from = vim.api.nvim_buf_get_mark(bufnr, '<')
  local to = vim.api.nvim_buf_get_mark(bufnr, '>')
  if vim.fn.visualmode() ~= 'v' or from[1] ~= first or to[1] ~= last then
    return whole_lines(bufnr, first, last, encoding)
  end
  local line = line_at(bufnr, last - 1)
  local stop = math.min(to[2], #line)
  if vim.o.selection ~= 'exclusive' and stop < #line then
    stop = stop + vim.str_utf_end(line, stop + 1) + 1
  end
  return { start = position(bufnr, first - 1, from[2], encoding), ['end'] = position(bufnr, last - 1, stop, encoding) }
end

--- An empty range: where the cursor is in the current window.
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Range
function M.of_cursor(encoding)
  local row, byte = unpack(vim.api.nvim_win_get_cursor(0))
  local here = position(0, row - 1, byte, encoding)
  return { start = here, ['end'] = here }
end

--- What all servers and linters say about the lines of a range.
---@param bufnr integer
---@param first? integer The first line, from 1; absent: the whole buffer.
---@param last? integer
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Diagnostic[]
function M.diagnostics(bufnr, first, last, encoding)
  local list = {}
  for _, item in ipairs(vim.diagnostic.get(bufnr)) do
    local end_row, end_byte = item.end_lnum or item.lnum, item.end_col or item.col
    if not first or (item.lnum < last and end_row >= first - 1) then
      table.insert(list, {
        range = {
          start = position(bufnr, item.lnum, item.col, encoding),
          ['end'] = position(bufnr, end_row, end_byte, encoding),
        },
        severity = item.severity,
        message = item.message,
        source = item.source,
        code = item.code,
      })
    end
  end
  return list
end

return M
