-- A command edits an unsaved buffer: the agent reads what the person typed, progress begins, reports and ends, and `u`
-- takes the edit back in one step without what was typed.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  local path = t.project({
    turns = {
      { deltas = { { text = 'I read it first.' }, { call = { name = 'read', arguments = { path = 'poem.txt' } } } }, chunk = 4, chunk_delay_ms = 20 },
      {
        expect = { results_ok = true, contains = { 'typed, not saved' } },
        deltas = {
          {
            call = {
              name = 'edit',
              arguments = {
                path = 'poem.txt',
                edits = { { old = 'roses', new = 'ROSES' }, { old = 'typed, not saved', new = 'TYPED, NOT SAVED' } },
              },
            },
          },
        },
      },
      { expect = { results_ok = true }, deltas = { { text = 'It shouts now.' } } },
    },
  }, 'roses are red\nviolets are blue')
  t.plugin()
  t.open(path)
  local kinds, said = t.progress(), t.notifications()

  vim.api.nvim_buf_set_lines(0, 1, 1, false, { 'typed, not saved' })
  vim.cmd('2Cowrite edit shout')
  t.wait('the end of the progress', function()
    return vim.list_contains(kinds, 'end')
  end)

  t.equal('the buffer', { 'ROSES are red', 'TYPED, NOT SAVED', 'violets are blue' }, t.lines())
  t.equal('the disk', { 'roses are red', 'violets are blue' }, vim.fn.readfile(path))
  t.equal('progress begins first', 'begin', kinds[1])
  t.equal('progress reports', true, vim.list_contains(kinds, 'report'))
  t.wait('the end to be said', function()
    return said[#said] == 'Cowrite: It shouts now.'
  end)

  vim.cmd.undo()
  t.equal('after u', { 'roses are red', 'typed, not saved', 'violets are blue' }, t.lines())
end)
