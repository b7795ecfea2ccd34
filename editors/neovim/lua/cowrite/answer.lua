-- What the model says: answers stream into a Markdown window, everything else ends in a notification.
local M = {}

-- Commands that ask for words. The others ask for changes, which show in the buffers.
local answers = { ask = true, explain = true, review = true }

---@class cowrite.Run
---@field title string
---@field turns string[] The text of each turn; a discarded one is taken back.
---@field shows boolean Whether its text goes to the window.

---@type table<string, cowrite.Run>
local runs = {}

---@type integer?
local buffer

local function answer_buffer()
  if buffer and vim.api.nvim_buf_is_valid(buffer) then
    return buffer
  end
  buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(buffer, 'cowrite://answer')
  vim.bo[buffer].bufhidden = 'hide'
  vim.bo[buffer].swapfile = false
  vim.bo[buffer].modifiable = false
  -- Some builds come without the Markdown parser that the file type's own plugin asks for.
  vim.api.nvim_buf_call(buffer, function()
    vim.cmd('silent! setlocal filetype=markdown')
  end)
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buffer, desc = 'Close the answer' })
  return buffer
end

---@param first integer The first line to replace, from 0; -1 is the end.
---@param last integer
---@param lines string[]
local function set_lines(first, last, lines)
  local bufnr = answer_buffer()
  vim.bo[bufnr].modifiable = true
  vim.api.nvim_buf_set_lines(bufnr, first, last, false, lines)
  vim.bo[bufnr].modifiable = false
end

---@param run cowrite.Run
local function render(run)
  local text = ('# %s\n\n%s'):format(run.title:gsub('\n.*', ' …'), table.concat(run.turns, '\n\n'))
  set_lines(0, -1, vim.split(text, '\n', { plain = true }))
end

-- Adds to the last line instead of rendering all of a long answer for each word, and keeps the end in sight where the
-- person has not scrolled away from it.
---@param text string
local function append(text)
  local bufnr = answer_buffer()
  local count = vim.api.nvim_buf_line_count(bufnr)
  local last = vim.api.nvim_buf_get_lines(bufnr, -2, -1, false)[1]
  set_lines(-2, -1, vim.split(last .. text, '\n', { plain = true }))
  local now = vim.api.nvim_buf_line_count(bufnr)
  for _, window in ipairs(vim.fn.win_findbuf(bufnr)) do
    if vim.api.nvim_win_get_cursor(window)[1] >= count then
      vim.api.nvim_win_set_cursor(window, { now, 0 })
    end
  end
end

--- Opens the window with the newest answer, without leaving the one the person is in.
function M.open()
  local bufnr = answer_buffer()
  if #vim.fn.win_findbuf(bufnr) > 0 then
    return
  end
  local window = vim.api.nvim_open_win(bufnr, false, {
    split = 'below',
    win = -1,
    height = math.max(5, math.floor(vim.o.lines / 3)),
  })
  vim.wo[window].wrap = true
  vim.wo[window].linebreak = true
  vim.wo[window].number = false
  vim.wo[window].relativenumber = false
end

---@param id string
---@param event table
---@param run cowrite.Run
local function finish(id, event, run)
  runs[id] = nil
  if event.status == 'completed' then
    if not run.shows then
      local said = vim.split(event.resultText or '', '\n', { plain = true })[1]
      vim.notify(('Cowrite: %s'):format(said ~= '' and said or 'done.'))
    end
  elseif event.status == 'cancelled' then
    vim.notify('Cowrite: cancelled.')
  else
    local level = event.status == 'limitReached' and vim.log.levels.WARN or vim.log.levels.ERROR
    vim.notify(('Cowrite: %s'):format(event.error or event.status), level)
  end
end

---@type table<string, fun(run: cowrite.Run, event: table)>
local on = {
  turnStarted = function(run, event)
    run.turns[event.turn] = ''
    if run.shows and event.turn > 1 and run.turns[event.turn - 1] ~= '' then
      append('\n\n')
    end
  end,
  turnDiscarded = function(run, event)
    run.turns[event.turn] = ''
    if run.shows then
      render(run)
    end
  end,
  textDelta = function(run, event)
    local turn = math.max(1, #run.turns)
    run.turns[turn] = (run.turns[turn] or '') .. event.text
    if run.shows then
      append(event.text)
    end
  end,
}

--- Takes one cowrite/event. Types that are not known here are let pass.
---@param params { runId: string?, event: table }
function M.on_event(params)
  local id, event = params.runId, params.event
  if not id then
    return
  end
  if event.type == 'runStarted' then
    local run = { title = event.prompt, turns = {}, shows = event.command == nil or answers[event.command] ~= nil }
    runs[id] = run
    if run.shows then
      render(run)
      M.open()
    end
  elseif runs[id] and event.type == 'runFinished' then
    finish(id, event, runs[id])
  elseif runs[id] and on[event.type] then
    on[event.type](runs[id], event)
  end
end

return M
