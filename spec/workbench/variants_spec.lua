-- Other conversations that are made of a transcript's.

local transcripts = require "parlance.workbench.transcript"
local variants = require "parlance.workbench.variants"

local function read(text)
  return assert(transcripts.read(text, "some/where.transcript"))
end

describe("workbench.variants", function()
  describe("pipelined", function()
    for _, case in ipairs {
      { "puts all that is sent in one piece, and the answers behind it",
        '> "a"\n< "A"\n> "b"\n> end\n< "B"\n< ~"C"\n< end', '> "ab"\n> end\n< "A"\n< "B"\n< ~"C"\n< end\n' },
      { "leaves in front what the server says first",
        '< "hi"\n> "a"\n< "A"\n> "b"\n< "B"', '< "hi"\n> "ab"\n< "A"\n< "B"\n' },
      { "is nothing new for a single piece", '> "a"\n< "A"\n> end\n< end', nil },
      { "takes no notice of the moments between two steps of a recording",
        '> "a"\n< "A"\nwait 0.05\n> "b"\n< "B"', '> "ab"\n< "A"\n< "B"\n' },
      { "is another conversation with pauses", '> "a"\nwait 1\n> "b"', nil },
      { "is another conversation with several clients", 'a> "a"\nb> "b"\na> "c"', nil },
      { "is another conversation with a client that breaks off", '> "a"\n< "A"\n> "b"\n> gone', nil },
      { "is another conversation when the client sends behind the end", '> "a"\n< end\n> "b"', nil },
    } do
      local fact, text, expected = table.unpack(case)
      it(fact, function()
        local self = variants.pipelined(read(text))
        assert.equal(expected, self and transcripts.write(self))
      end)
    end
  end)

  describe("doubled", function()
    it("has two clients that send in turn, a byte at a time", function()
      assert.equal('one> "a"\ntwo> "a"\none> "b"\ntwo> "b"\none< "c"\ntwo< "c"\nwait 1\none> end\ntwo> end\n',
        transcripts.write(variants.doubled(read '> "ab"\n< "c"\nwait 1\n> end')))
    end)

    it("has larger pieces where there are many bytes, and all of them", function()
      local doubled = variants.doubled(read '> "0123456789" * 100000\n< "x"')
      assert.is_true(#doubled.steps < 20000)
      local sent = { one = {}, two = {} }
      for _, step in ipairs(doubled.steps) do table.insert(sent[step.client], step.text) end
      assert.equal(("0123456789"):rep(100000), table.concat(sent.one))
      assert.equal(("0123456789"):rep(100000), table.concat(sent.two))
    end)

    it("is not for several clients, nor where state is shared", function()
      assert.is_nil(variants.doubled(read 'a> "a"\nb> "b"'))
      assert.is_nil(variants.doubled(read 'fresh\n> "a"'))
    end)
  end)
end)
