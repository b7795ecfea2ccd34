-- The selection in each of the three encodings, astral and wide characters included.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  t.plugin()
  local range = require('cowrite.range')
  vim.api.nvim_buf_set_lines(0, 0, -1, false, { 'aé😀b', 'zwei', '' })

  ---@param keys string
  ---@param encoding string
  ---@return integer[]
  local function selected(keys, encoding)
    vim.cmd('normal! ' .. vim.keycode(keys .. '<Esc>'))
    local found = range.of_command(0, vim.fn.line("'<"), vim.fn.line("'>"), encoding)
    return { found.start.line, found.start.character, found['end'].line, found['end'].character }
  end

  t.equal('é😀 in utf-8', { 0, 1, 0, 7 }, selected('gg0lvl', 'utf-8'))
  t.equal('é😀 in utf-16', { 0, 1, 0, 4 }, selected('gg0lvl', 'utf-16'))
  t.equal('é😀 in utf-32', { 0, 1, 0, 3 }, selected('gg0lvl', 'utf-32'))
  t.equal('to the end of the line', { 0, 2, 0, 5 }, selected('gg0llv$', 'utf-16'))
  t.equal('over two lines', { 0, 4, 1, 2 }, selected('gg0lllvj0l', 'utf-16'))
  t.equal('whole lines', { 0, 0, 2, 0 }, selected('ggVj', 'utf-8'))
  t.equal('the last line', { 1, 0, 2, 0 }, selected('2GVG', 'utf-8'))
  vim.o.selection = 'exclusive'
  t.equal('exclusive', { 0, 1, 0, 3 }, selected('gg0lvl', 'utf-8'))
end)
