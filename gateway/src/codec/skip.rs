//! Stepping over values that are not taken apart: ignored members, and free JSON carried as it is.

use super::fault::{Problem, Read};
use super::scan::Scanner;
use super::special::special;

impl Scanner<'_> {
    /// Steps over any value; `depth` more levels are allowed in it.
    ///
    /// A loop, as free JSON is often the longest part of a text.
    pub(super) fn skip(&mut self, depth: u32) -> Read<()> {
        let mut nest = Nest::new();
        loop {
            match self.peek() {
                b'"' => self.skip_string()?,
                open @ (b'{' | b'[') => {
                    if nest.levels >= depth.min(Nest::MAX) {
                        return self.fault(Problem::TooDeep);
                    }
                    if self.enter(open, "a value")? {
                        nest.push(open);
                        self.skip_name(open)?;
                        continue;
                    }
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => self.number("a value").map(drop)?,
            }
            loop {
                let Some(open) = nest.innermost() else {
                    return Ok(());
                };
                if self.more(open)? {
                    self.skip_name(open)?;
                    break;
                }
                nest.levels -= 1;
            }
        }
    }

    /// The name before a value, in an object.
    #[inline(always)]
    fn skip_name(&mut self, open: u8) -> Read<()> {
        if open != b'{' {
            return Ok(());
        }
        if self.peek() != b'"' {
            return self.fault(Problem::Syntax("a quoted name"));
        }
        self.skip_string()?;
        self.colon()
    }

    #[inline(always)]
    fn skip_string(&mut self) -> Read<()> {
        let end = special(self.json, self.at + 1);
        if self.json.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(());
        }
        self.escaped(&mut |_| {})
    }
}

/// Which objects and arrays a value is in, one bit each.
struct Nest {
    objects: [u64; 4],
    levels: u32,
}

impl Nest {
    const MAX: u32 = 256;

    fn new() -> Self {
        Nest {
            objects: [0; 4],
            levels: 0,
        }
    }

    #[inline(always)]
    fn push(&mut self, open: u8) {
        let (word, bit) = (self.levels as usize / 64 % 4, 1u64 << (self.levels % 64));
        if open == b'{' {
            self.objects[word] |= bit;
        } else {
            self.objects[word] &= !bit;
        }
        self.levels += 1;
    }

    /// The bracket of the innermost one.
    #[inline(always)]
    fn innermost(&self) -> Option<u8> {
        let level = self.levels.checked_sub(1)?;
        let is_object = self.objects[level as usize / 64 % 4] >> (level % 64) & 1 == 1;
        Some(if is_object { b'{' } else { b'[' })
    }
}
