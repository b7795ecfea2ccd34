-- An answer streams into a window that does not take the cursor, an error is said, and the first word is completed.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  local path = t.project({
    turns = { { deltas = { { text = 'Because of *this*:\n\n- one\n- two' } }, chunk = 3, chunk_delay_ms = 10 } },
  }, 'one\ntwo')
  t.plugin()
  t.open(path)
  local kinds, said = t.progress(), t.notifications()
  local window, seen = vim.api.nvim_get_current_win(), {}

  vim.cmd('Cowrite explain')
  t.wait('the end of the progress', function()
    local answer = vim.fn.bufnr('cowrite://answer')
    if answer > 0 then
      seen[table.concat(vim.api.nvim_buf_get_lines(answer, 2, -1, false), '\n')] = true
    end
    return vim.list_contains(kinds, 'end')
  end)
  local answer = vim.fn.bufnr('cowrite://answer')
  t.equal('the answer', { 'Because of *this*:', '', '- one', '- two' }, vim.api.nvim_buf_get_lines(answer, 2, -1, false))
  t.equal('it streamed', true, vim.tbl_count(seen) > 3)
  t.equal('it is on the screen', 1, #vim.fn.win_findbuf(answer))
  t.equal('the cursor stays', window, vim.api.nvim_get_current_win())
  t.equal('nothing else is said', {}, said)

  vim.cmd('Cowrite nonsense')
  t.wait('the error', function()
    return #said > 0 and said[1]:find('nonsense', 1, true)
  end)
  t.equal('completion', { 'edit', 'explain' }, vim.tbl_filter(function(name)
    return name ~= 'events'
  end, vim.fn.getcompletion('Cowrite e', 'cmdline')))
end)
