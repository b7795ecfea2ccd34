-- A run in mode `ask`: lenses show what waits, one of them takes a change into the unsaved buffer, `u` gives it back in one
-- step, and what is typed moves the others.
local t = dofile(vim.env.COWRITE_HARNESS)

-- The titles above a line, as they are on the screen.
---@param row integer From 0.
---@return string
local function above(row)
  for name, id in pairs(vim.api.nvim_get_namespaces()) do
    if name:find('codelens', 1, true) then
      for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, id, { row, 0 }, { row, -1 }, { details = true })) do
        local details, text = mark[4], {}
        for _, chunk in ipairs(details.virt_text or (details.virt_lines or {})[1] or {}) do
          table.insert(text, chunk[1])
        end
        if #text > 0 then
          return vim.trim(table.concat(text))
        end
      end
    end
  end
  return ''
end

-- Waits until the lenses above a line are these; a screen is drawn for them.
---@param row integer From 0.
---@param expected string
local function shows(row, expected)
  local found
  local ok = vim.wait(15000, function()
    vim.cmd('redraw!')
    found = above(row)
    return found == expected
  end, 20)
  t.equal(('the lenses above line %d'):format(row + 1), expected, ok and expected or found)
end

-- Runs the lens of a line whose title begins so, as a person does.
---@param row integer From 0.
---@param title string
local function run(row, title)
  local chosen
  vim.ui.select = function(items, opts, on_choice)
    for index, item in ipairs(items) do
      local shown = opts.format_item and opts.format_item(item) or item
      if shown:find(title, 1, true) then
        chosen = shown
        return on_choice(item, index)
      end
    end
    on_choice()
  end
  vim.api.nvim_win_set_cursor(0, { row + 1, 0 })
  vim.lsp.codelens.run()
  t.wait(('the lens %q to be found'):format(title), function()
    return chosen
  end)
end

t.story(function()
  local path = t.project({
    turns = {
      { deltas = { { call = { name = 'read', arguments = { path = 'poem.txt' } } } } },
      {
        deltas = {
          {
            call = {
              name = 'edit',
              arguments = {
                path = 'poem.txt',
                edits = { { old = 'roses', new = 'tulips' }, { old = 'blue', new = 'violet' } },
              },
            },
          },
        },
      },
      { expect = { results_ok = true }, deltas = { { text = 'Other flowers.' } } },
    },
  }, 'some roses are red\nand grass is green\nviolets are blue')
  t.plugin()
  t.open(path)
  local said = t.notifications()
  local before = t.lines()

  vim.cmd('Cowrite! edit other flowers')
  shows(2, 'Accept: `blue` -> `violet` | Reject')
  shows(0, 'Accept: `roses` -> `tulips` | Reject | Accept all 2 | Reject all | Show as diff')
  t.equal('nothing is changed', before, t.lines())
  -- Neovim 0.11 does not pass what a server says through vim.notify.
  t.wait('what waits to be said', function()
    local all = vim.fn.execute('messages') .. table.concat(said, '\n')
    return all:find('2 changes in 1 file wait for you', 1, true)
  end)

  run(2, 'Accept: `blue`')
  t.wait('the change', function()
    return t.lines()[3] == 'violets are violet'
  end)
  shows(2, '')
  t.equal('the disk', before, vim.fn.readfile(path))
  vim.cmd.undo()
  t.equal('after u', before, t.lines())

  vim.api.nvim_buf_set_lines(0, 0, 0, false, { 'typed' })
  -- Headless, nothing tells that the text has changed.
  vim.cmd.doautocmd('TextChanged')
  shows(1, 'Accept: `roses` -> `tulips` | Reject | Show as diff')
  vim.cmd('Cowrite reject')
  t.hears(said, 'Cowrite: dropped 1 change.')
  shows(1, '')
  t.equal('at the end', 'some roses are red', t.lines()[2])
end)
