-- The model asks what is reported, and is told what any source in the editor has found, of the very file that it asks about.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  local path = t.project({
    turns = {
      { deltas = { { call = { name = 'diagnostics', arguments = { path = 'poem.txt' } } } } },
      {
        expect = {
          results_ok = true,
          contains = { 'poem.txt:2:14: error: violets are violet (botany B4)', 'poem.txt:1:1: hint: is it?' },
          lacks = { 'elsewhere' },
        },
        deltas = { { call = { name = 'diagnostics', arguments = vim.empty_dict() } } },
      },
      {
        expect = { results_ok = true, contains = { 'error: violets are violet', 'poem.txt.orig:1:1: warning: elsewhere' } },
        deltas = { { call = { name = 'diagnostics', arguments = { path = 'poem.txt.or' } } } },
      },
      -- Nothing of a file whose name goes on.
      { expect = { results_ok = true, contains = { 'Nothing is reported' } }, deltas = { { text = 'Violet, then.' } } },
    },
  }, 'roses are red\nvíolets are blue')
  t.plugin()
  vim.fn.writefile({ 'old' }, path .. '.orig')
  vim.fn.writefile({ 'not open' }, path .. '.or')
  local botany = vim.api.nvim_create_namespace('botany')
  vim.cmd.edit(path .. '.orig')
  vim.diagnostic.set(botany, 0, { { lnum = 0, col = 0, message = 'elsewhere', severity = vim.diagnostic.severity.WARN } })
  t.open(path)
  local said = t.notifications()
  local error, hint = vim.diagnostic.severity.ERROR, vim.diagnostic.severity.HINT
  vim.diagnostic.set(botany, 0, {
    { lnum = 1, col = 13, end_col = 17, message = 'violets are violet', severity = error, source = 'botany', code = 'B4' },
    { lnum = 0, col = 0, message = 'is it?', severity = hint },
  })

  vim.cmd('Cowrite edit what colour?')
  t.hears(said, 'Cowrite: Violet, then.')
end)
