--- Returns a sorted list of the keys of a table.
return function(set)
  local list = {}
  for item in pairs(set) do list[#list + 1] = item end
  table.sort(list)
  return list
end
