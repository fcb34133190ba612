//! Which track stands in which row. A scan numbers an album's files one after the other, so that a dozen rows are one step
//! of a staircase; twelve bytes a step.

/// Track numbers by row, and back.
#[derive(Debug, Default)]
pub struct Ids {
    /// The first row of each step, with its number, by row.
    steps: Vec<Step>,
    /// The steps by number.
    by_id: Vec<u32>,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    row: u32,
    id: u32,
}

impl Ids {
    /// Returns the numbers of rows, each once.
    pub fn of(ids: impl IntoIterator<Item = u32>) -> Ids {
        let mut made = Ids::default();
        for id in ids {
            let row = made.len as u32;
            if made.steps.last().is_none_or(|last| last.id.checked_add(row - last.row) != Some(id)) {
                made.steps.push(Step { row, id });
            }
            made.len += 1;
        }
        made.by_id = (0..made.steps.len() as u32).collect();
        made.by_id.sort_unstable_by_key(|&step| made.steps[step as usize].id);
        made.steps.shrink_to_fit();
        made
    }

    /// Returns how many rows there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the number in a row; 0, which no track has, behind the last one.
    pub fn id(&self, row: usize) -> u32 {
        let at = self.steps.partition_point(|step| step.row as usize <= row);
        let step = at.checked_sub(1).filter(|_| row < self.len).map(|at| self.steps[at]);
        step.map_or(0, |step| step.id + (row as u32 - step.row))
    }

    /// Returns the row of a number.
    pub fn row(&self, id: u32) -> Option<usize> {
        let at = self.by_id.partition_point(|&step| self.steps[step as usize].id <= id).checked_sub(1)?;
        let step = self.by_id[at] as usize;
        let end = self.steps.get(step + 1).map_or(self.len, |next| next.row as usize);
        let row = self.steps[step].row as usize;
        // A number far behind the step's last would not fit beside its row on a box of 32 bits.
        let beyond = (id - self.steps[step].id) as usize;
        (beyond < end - row).then_some(row + beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_rows_find_each_other(
            albums in prop::collection::btree_set(0u32..60, 0..40)
                .prop_map(|set| set.into_iter().collect::<Vec<_>>())
                .prop_shuffle(),
            count in 1u32..12,
        ) {
            let ids: Vec<u32> = albums.iter().flat_map(|album| (0..count).map(move |at| 5 + album * 12 + at)).collect();
            let made = Ids::of(ids.iter().copied());
            prop_assert_eq!(made.len(), ids.len());
            for (row, &id) in ids.iter().enumerate() {
                prop_assert_eq!((made.id(row), made.row(id)), (id, Some(row)));
            }
            for id in 0..740 {
                prop_assert_eq!(made.row(id), ids.iter().position(|&known| known == id));
            }
            prop_assert_eq!((made.id(ids.len()), made.row(u32::MAX)), (0, None));
        }
    }
}
