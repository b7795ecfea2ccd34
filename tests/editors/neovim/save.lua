-- What a command should see is saved first, unless somebody else has written the file meanwhile; a new file is made through the editor.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  local path = t.project({
    rules = {
      {
        when = { prompt_contains = 'look' },
        turns = {
          { deltas = { { call = { name = 'run', arguments = { command = 'cat poem.txt' } } } } },
          { expect = { results_ok = true }, deltas = { { text = 'I saw: {{results}}' } } },
        },
      },
      {
        when = { prompt_contains = 'another poem' },
        turns = {
          { deltas = { { call = { name = 'write', arguments = { path = 'new/poem.txt', content = 'sugar is sweet\n' } } } } },
          { expect = { results_ok = true }, deltas = { { text = 'There it is.' } } },
        },
      },
    },
  }, 'roses are red\nviolets are blue')
  t.settings({ '[permissions]', 'allow = ["run(cat *)"]' })
  t.plugin()
  t.open(path)
  local said = t.notifications()
  -- What a person's formatter does belongs to the save.
  vim.api.nvim_create_autocmd('BufWritePre', { pattern = 'poem.txt', command = 'silent! %s/ \\+$//' })

  vim.api.nvim_buf_set_lines(0, 0, 0, false, { 'typed, not saved   ' })
  vim.cmd('Cowrite run look')
  t.wait('the run', function()
    return t.ask('status').runs[1].status == 'completed'
  end)
  t.equal('the disk', { 'typed, not saved', 'roses are red', 'violets are blue' }, vim.fn.readfile(path))
  t.equal('it is saved', false, vim.bo.modified)
  t.equal('the command saw it', true, t.ask('status').runs[1].resultText:find('typed, not saved\nroses', 1, true) ~= nil)

  vim.api.nvim_buf_set_lines(0, 0, 1, false, { 'typed since' })
  vim.fn.writefile({ 'from elsewhere' }, path)
  vim.cmd('Cowrite run look again')
  t.wait('the second run', function()
    local runs = t.ask('status').runs
    return #runs == 2 and runs[1].status == 'completed' and runs[2].status == 'completed'
  end)
  t.equal('what somebody else wrote stays', { 'from elsewhere' }, vim.fn.readfile(path))
  t.equal('and what was typed', 'typed since', t.lines()[1])
  local told = t.ask('status').runs
  local text = told[1].resultText .. told[2].resultText
  t.equal('the model is told', true, text:find('poem.txt is not saved in the editor', 1, true) ~= nil)

  vim.cmd('Cowrite edit another poem')
  t.hears(said, 'Cowrite: There it is.')
  local new = vim.fs.dirname(path) .. '/new/poem.txt'
  t.equal('the new file', { 'sugar is sweet' }, vim.fn.readfile(new))
  t.equal('it is open and saved', false, vim.bo[vim.fn.bufnr(new)].modified)
end)
