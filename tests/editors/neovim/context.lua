-- A conversation in a small model is compacted by command: the person sees what that saved and how full the context is, and the
-- model finds what was said before.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  local long = ('The roses of this poem are described in one more line of plain words. '):rep(150)
  local path = t.project({
    context = 12000,
    rules = {
      { when = { prompt_contains = 'remember' }, turns = { { deltas = { { text = 'The ticket is OPS-4711.\n' .. long } } } } },
      {
        when = { prompt_contains = 'which ticket' },
        turns = {
          -- The answer itself is not sent any more, but what is recalled is.
          { deltas = { { call = { name = 'recall', arguments = { query = 'ticket ops-' } } } } },
          { expect = { results_ok = true, contains = { 'The ticket is OPS-4711.' } }, deltas = { { text = 'It is {{results}}' } } },
        },
      },
    },
    summary = { deltas = { { text = 'Goal: mind the roses.' } } },
  }, 'roses are red\nviolets are blue')
  vim.fn.writefile({ '[compaction]', 'mode = "safe_frontier"' }, vim.env.COWRITE_CONFIG, 'a')
  t.plugin()
  t.open(path)
  local said = t.notifications()
  local told = {}
  vim.api.nvim_create_autocmd('LspProgress', {
    callback = function(event)
      local value = event.data.params.value
      table.insert(told, ('%s %s'):format(value.kind, value.message or value.title))
    end,
  })

  vim.cmd('Cowrite compact')
  t.hears(said, 'Cowrite: there is nothing to compact yet')

  vim.cmd('Cowrite edit remember this')
  t.hears(said, 'The ticket is OPS-4711.')
  local full = t.ask('status').context
  t.equal('the limit', 12000, full.limit)

  vim.cmd('Cowrite compact the roses')
  t.wait('the compaction', function()
    return t.ask('status').compactions == 1
  end)
  t.equal('it was announced', true, vim.list_contains(said, 'Cowrite: compacting the conversation'))
  local small = t.ask('status').context
  t.equal('there is room again', true, small.used < full.used and small.share < full.share)
  local saved = ('end compacted the conversation from %d to %d tokens'):format(full.used, small.used)
  t.wait(saved, function()
    return vim.list_contains(told, saved)
  end)
  t.equal('its progress began', true, vim.list_contains(told, 'begin Cowrite: compacting the conversation'))

  vim.cmd('Cowrite status')
  t.hears(said, ('context: %d of 12000 tokens, %d%%'):format(small.used, math.floor(small.share * 100 + 0.5)))

  vim.cmd('Cowrite edit which ticket was it?')
  t.hears(said, 'It is 1 place')
end)
