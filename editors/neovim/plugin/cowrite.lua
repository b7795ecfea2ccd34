-- Defines :Cowrite and nothing else: the rest loads with the first use or with require('cowrite').setup{}.
if vim.g.loaded_cowrite then
  return
end
vim.g.loaded_cowrite = true

vim.api.nvim_create_user_command('Cowrite', function(opts)
  require('cowrite.command').run(opts)
end, {
  nargs = '+',
  bang = true,
  range = true,
  desc = 'Run a Cowrite command: :[range]Cowrite[!] {command} [prompt]',
  complete = function(lead, line)
    return require('cowrite.command').complete(lead, line)
  end,
})
