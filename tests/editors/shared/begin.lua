-- The first editor: Neovim renames a function by a command, saves and leaves.
local t = dofile(vim.env.COWRITE_HARNESS)

t.story(function()
  t.plugin()
  t.open('src/lib.rs')
  local said = t.notifications()
  vim.cmd('1Cowrite edit call it plus')
  t.wait('the end of the run', function()
    return said[#said] == 'Cowrite: It was add, and is plus now.'
  end)
  t.equal('the first line', 'fn plus(a: i32, b: i32) -> i32 {', t.lines()[1])
  vim.cmd('silent write')
end)
