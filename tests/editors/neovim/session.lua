-- What a server process leaves behind is there for the next one: the session goes on, its run is listed, and
-- `:Cowrite undo` takes back the edit of the process that has ended.
local t = dofile(vim.env.COWRITE_HARNESS)

---@param status table The answer of cowrite.status.
---@return string[]
local function runs(status)
  return vim.tbl_map(function(run)
    return run.status .. ' ' .. run.prompt
  end, status.runs)
end

t.story(function()
  local path = t.project({
    -- The third turn is the second run's: it plays only when the model is sent what the first run said.
    count = 'conversation',
    turns = {
      {
        deltas = {
          { call = { name = 'edit', arguments = { path = 'poem.txt', edits = { { old = 'roses', new = 'ROSES' } } } } },
        },
      },
      { expect = { results_ok = true }, deltas = { { text = 'It shouts now.' } } },
      { expect = { contains = { 'and now?' } }, deltas = { { text = 'The roses are quiet again.' } } },
    },
  }, 'roses are red\nviolets are blue')
  t.plugin()
  t.open(path)
  local said = t.notifications()

  vim.cmd('1Cowrite edit shout')
  t.hears(said, 'It shouts now.')
  t.equal('the edit', { 'ROSES are red', 'violets are blue' }, t.lines())
  local before = t.ask('status')
  t.equal('the first run', { 'completed shout' }, runs(before))

  local first = assert(require('cowrite').client())
  first:stop()
  t.wait('the end of the server', function()
    return not vim.lsp.get_client_by_id(first.id)
  end)

  local second = assert(require('cowrite').client())
  t.equal('another server', true, second.id ~= first.id)
  local after = t.ask('status')
  t.equal('the session', before.sessionId, after.sessionId)
  t.equal('its run', runs(before), runs(after))
  t.equal('the only session', 1, #t.ask('sessions').sessions)

  vim.api.nvim_buf_set_lines(0, -1, -1, false, { 'typed since' })
  vim.cmd('Cowrite undo')
  t.hears(said, 'merged')
  t.equal('taken back', { 'roses are red', 'violets are blue', 'typed since' }, t.lines())

  vim.cmd('Cowrite edit and now?')
  t.hears(said, 'The roses are quiet again.')
  t.equal('both runs', { 'completed shout', 'completed and now?' }, runs(t.ask('status')))
end)
