-- The third editor: Neovim finds the runs of Neovim and Helix in one session, takes back what Helix's run did, and goes on.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  t.plugin()
  t.open('src/lib.rs')
  local said = t.notifications()

  local sessions = t.ask('sessions')
  t.equal('sessions', { { 2, sessions.active } }, vim.tbl_map(function(session)
    return { session.runs, session.sessionId }
  end, sessions.sessions))
  local status = t.ask('status')
  t.equal('the session', sessions.active, status.sessionId)
  t.equal('its runs', {
    { 'completed', 'call it plus', 'It was add, and is plus now.' },
    { 'completed', 'say what it is for', 'It says so now.' },
  }, vim.tbl_map(function(run)
    return { run.status, run.prompt, run.resultText }
  end, status.runs))
  vim.cmd('Cowrite status')
  t.hears(said, 'completed  call it plus\ncompleted  say what it is for')

  vim.cmd('Cowrite undo')
  t.hears(said, 'restored')
  t.equal('without the edit of Helix, with that of Neovim', 'fn plus(a: i32, b: i32) -> i32 {', t.lines()[1])

  vim.cmd('Cowrite ask what did we do?')
  t.wait('the answer', function()
    local answer = vim.fn.bufnr('cowrite://answer')
    return answer > 0
      and vim.list_contains(vim.api.nvim_buf_get_lines(answer, 0, -1, false), 'We renamed add and documented it.')
  end)
  t.wait('the end of the third run', function()
    local run = t.ask('status').runs[3]
    return run and run.status == 'completed'
  end)
end)
