-- What a run must ask for is asked in a list, which the person answers by its numbers: a command that they let through sees what they
-- have typed, and a file that they refuse stays as it is, of which the run hears.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  local path = t.project({
    rules = {
      {
        when = { prompt_contains = 'count' },
        turns = {
          { deltas = { { call = { name = 'run', arguments = { command = 'cat poem.txt; wc -l poem.txt' } } } } },
          { expect = { results_ok = true, contains = { 'typed, not saved', '3 poem.txt' } }, deltas = { { text = 'Three lines.' } } },
        },
      },
      {
        when = { prompt_contains = 'set it up' },
        turns = {
          { deltas = { { call = { name = 'write', arguments = { path = '.nvim.lua', content = 'os.exit()\n' } } } } },
          { expect = { results_ok = false, contains = { 'asked and said no' } }, deltas = { { text = 'So be it: {{results}}' } } },
        },
      },
    },
  }, 'roses are red\nviolets are blue')
  local person = t.person(path)

  ---@param text string
  local function hears(text)
    local said
    local heard = vim.wait(15000, function()
      said = person.lua('return _G.said')
      return said[#said] ~= nil and said[#said]:find(text, 1, true) ~= nil
    end, 20)
    t.equal(text, true, heard or said)
  end

  person.keys('Otyped, not saved<Esc>')
  person.keys(':Cowrite edit count<CR>')
  person.asked('cat poem.txt; wc -l poem.txt')
  person.sees('1: Allow once')
  person.sees('3: Deny')
  t.equal('the disk before', { 'roses are red', 'violets are blue' }, vim.fn.readfile(path))
  person.keys('1<CR>')
  hears('Cowrite: Three lines.')
  t.equal('the disk', { 'typed, not saved', 'roses are red', 'violets are blue' }, vim.fn.readfile(path))
  t.equal('nothing is left to save', false, person.lua('return vim.bo.modified'))

  person.keys(':Cowrite edit set it up<CR>')
  person.asked('.nvim.lua')
  person.keys('3<CR>')
  hears('Cowrite: So be it')
  t.equal('the protected file', nil, vim.uv.fs_stat(vim.fs.dirname(path) .. '/.nvim.lua'))

  -- Who is typing is not asked in between: what they type would be the answer.
  person.keys('Goa list: ')
  person.lua([[vim.cmd('Cowrite edit set it up')]])
  hears('Cowrite waits for you in normal mode: Write .nvim.lua')
  person.keys('<CR>1<CR>2<CR>')
  t.wait('what was typed', function()
    return vim.deep_equal(person.lua('return vim.api.nvim_buf_get_lines(0, 3, -1, false)'), { 'a list: ', '1', '2', '' })
  end)
  person.keys('<Esc>')
  person.asked('3: Deny')
  person.keys('3<CR>')
  hears('Cowrite: So be it')
  t.equal('the protected file', nil, vim.uv.fs_stat(vim.fs.dirname(path) .. '/.nvim.lua'))
end)
