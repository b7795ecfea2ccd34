-- A person types in insert mode while an edit arrives: nothing typed is lost, and each `u` takes back one thing. The
-- editor under test is a process of its own, since only real input keeps it in insert mode.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  local path = t.project({
    turns = {
      { deltas = { { call = { name = 'read', arguments = { path = 'poem.txt' } } } } },
      {
        deltas = {
          { delay_ms = 300 },
          { call = { name = 'edit', arguments = { path = 'poem.txt', edits = { { old = 'blue', new = 'BLUE' } } } } },
        },
      },
      { expect = { results_ok = true }, deltas = { { text = 'Done.' } } },
    },
  }, 'roses are red\nviolets are blue')
  local child = vim.fn.jobstart({ vim.env.NVIM_UNDER_TEST, '--clean', '--embed', '--headless' }, { rpc = true })
  local function lua(code, ...)
    return vim.rpcrequest(child, 'nvim_exec_lua', code, { ... })
  end
  local function input(keys)
    vim.rpcrequest(child, 'nvim_input', keys)
    vim.wait(80)
  end
  local function lines()
    return vim.rpcrequest(child, 'nvim_buf_get_lines', 0, 0, -1, false)
  end
  lua([[
    local harness, path = ...
    local t = dofile(harness)
    t.plugin()
    t.open(path)
  ]], vim.env.COWRITE_HARNESS, path)

  input('ggAx')
  lua([[vim.cmd('Cowrite edit shout')]])
  t.wait('the edit', function()
    input('y')
    return lines()[2] == 'violets are BLUE'
  end)
  input('z<Esc>')
  local typed = lines()[1]
  t.equal('what was typed', 'roses are redx', (typed:gsub('y+z$', '')))

  -- First what was typed after the edit, then the edit, then what was typed before.
  local steps = {}
  for _ = 1, 3 do
    input('u')
    table.insert(steps, lines()[2])
  end
  t.equal('the second line after each u', { 'violets are BLUE', 'violets are blue', 'violets are blue' }, steps)
  t.equal('all taken back', { 'roses are red', 'violets are blue' }, lines())
  vim.fn.jobstop(child)
end)
