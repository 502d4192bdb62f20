//! The same done to many: by as many threads as there are processors, because most of the time of reading a small file is
//! the kernel's, and it reads two at once.

use std::num::NonZero;
use std::thread;

/// The most threads.
const MAX_THREADS: usize = 8;
/// The fewest things that are worth a thread: starting one takes as long as reading a few files.
const LEAST_EACH: usize = 32;

/// What `each` makes of all of `items`, in their order.
pub fn map<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = match items.len() / LEAST_EACH {
        0 | 1 => 1,
        worthwhile => thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS).min(worthwhile),
    };
    if threads == 1 {
        return items.iter().map(each).collect();
    }
    let mut parts = items.chunks(items.len().div_ceil(threads));
    let first = parts.next().unwrap_or_default();
    let each = &each;
    thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| {
                let all = move || part.iter().map(each).collect::<Vec<R>>();
                (part, thread::Builder::new().name("troop-reads".to_owned()).spawn_scoped(scope, all))
            })
            .collect();
        let mut made: Vec<R> = first.iter().map(each).collect();
        for (part, thread) in others {
            match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(others)) => made.extend(others),
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // No thread is to be had.
                Err(_) => made.extend(part.iter().map(each)),
            }
        }
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays() {
        for count in [0, 1, 31, 64, 65, 1000, 1001] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(map(&items, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        }
    }
}
