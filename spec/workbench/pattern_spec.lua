local fault_of = require "parlance.workbench.pattern"

describe("workbench.pattern", function()
  for _, pattern in ipairs {
    "", "abc", "%d+", "[%a_][%w_]*", "[]]", "[^]]", "[]-a]", "[%]]", "[a-z]-", "(a)(b)%1%2", "((a)b)%2", "()a()",
    "%b()", "%b%%", "%f[%w]%w+", "%%", "a$", "^a", "*", "-", "]", "%(", "\0", "(" .. ("a)("):rep(31) .. ")",
  } do
    it(("takes %q"):format(pattern), function()
      assert.is_nil(fault_of(pattern))
      assert.is_true((pcall(string.find, "abc(d)12_]a%x%", "^" .. pattern)))
    end)
  end

  for _, case in ipairs {
    { "a[", "a [ without its ]" },
    { "[", "a [ without its ]" },
    { "[]", "a [ without its ]" },
    { "[^]", "a [ without its ]" },
    { "[a%]", "a [ without its ]" },
    { "[%", "a [ without its ]" },
    { "%f[a", "a [ without its ]" },
    { "a%", "a % at its end" },
    { "(a", "a ( without its )" },
    { "((a)", "a ( without its )" },
    { "a(", "a ( without its )" },
    { "a)", "a ) without a (" },
    { "()a)", "a ) without a (" },
    { "%b", "%b without two bytes after it" },
    { "%bx", "%b without two bytes after it" },
    { "a%f", "%f without a [ after it" },
    { "a%1", "%1 without a capture of that number before it" },
    { "(a%1)", "%1 without a capture of that number before it" },
    { "(a)%2", "%2 without a capture of that number before it" },
    { "(a)%0", "%0 without a capture of that number before it" },
    { ("()"):rep(33), "too many captures" },
  } do
    local pattern, why = table.unpack(case)
    it(("refuses %q"):format(pattern), function() assert.equal(why, fault_of(pattern)) end)
  end

  it("takes none that Lua refuses when it comes to the fault", function()
    local parts = { "a", "b", "%", "[", "]",
      "(", ")", "^", "$", "-", "*", "?", ".", "%a", "%b", "%f", "%1", "%2", "()" }
    local subject = ("ab[]()^$-*?.%"):rep(3)
    math.randomseed(20261122)
    for _ = 1, 20000 do
      local chosen = {}
      for i = 1, math.random(6) do chosen[i] = parts[math.random(#parts)] end
      local pattern = table.concat(chosen)
      if not fault_of(pattern) then
        for at = 1, #subject do
          assert(pcall(string.find, subject, "^" .. pattern, at), pattern)
        end
      end
    end
  end)
end)
