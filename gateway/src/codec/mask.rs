//! The fields a JSON object names, for the update mask of a PATCH.

use super::fault::{Problem, Read, fault};
use super::read::{Reader, Seen};
use super::table::{Form, Kind, Shape};

impl Reader<'_, '_, '_> {
    /// Adds the paths of the leaves: what is no ordinary message, and ordinary messages given as `null` or `{}`.
    pub(super) fn mask(
        &mut self,
        id: u32,
        depth: u32,
        prefix: &mut String,
        paths: &mut Vec<String>,
    ) -> Read<()> {
        if depth > self.tables.profile.max_depth {
            return self.scan.fault(Problem::TooDeep);
        }
        let tables = self.tables;
        let message = tables.message(id);
        let mut inside = self.scan.enter(b'{', "an object")?;
        if !inside && !prefix.is_empty() {
            paths.push(prefix.clone());
        }
        let mut seen = Seen::new();
        while inside {
            let key_at = self.scan.at;
            let key = self.scan.key()?;
            match message.field_named(&key) {
                None => self.unknown(key_at, &key, depth)?,
                Some(index) => {
                    let field = &message.fields[index];
                    if !seen.insert(index) {
                        return fault(key_at, Problem::DuplicateKey)
                            .map_err(|fault| fault.within(&field.printed));
                    }
                    self.scan.colon()?;
                    let length = prefix.len();
                    if length > 0 {
                        prefix.push('.');
                    }
                    prefix.push_str(&field.proto_name);
                    match (field.shape, field.kind) {
                        (Shape::Single, Kind::Message(id))
                            if self.scan.peek() == b'{'
                                && tables.message(id).form == Form::Plain =>
                        {
                            self.mask(id, depth + 1, prefix, paths)
                        }
                        // Naming it would clear the field, as no value of it is read.
                        (Shape::Single, kind) if self.ignored_enum(kind)? => Ok(()),
                        _ => {
                            paths.push(prefix.clone());
                            self.scan
                                .skip(self.tables.profile.max_depth.saturating_sub(depth))
                        }
                    }
                    .map_err(|fault| fault.within(&field.printed))?;
                    prefix.truncate(length);
                }
            }
            inside = self.scan.more(b'{')?;
        }
        Ok(())
    }
}
