//! How many requests may be under way: fewer after each 429, one more after each round of answers.

/// The window of additive increase and multiplicative decrease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Window {
    most: usize,
    size: usize,
    /// Answers since the size last changed.
    answered: usize,
}

impl Window {
    /// Wide open: the API server is taken to be well until it says otherwise.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            size: most,
            answered: 0,
        }
    }

    /// Whether one more may be sent beside so many.
    pub(super) fn has_room(&self, in_flight: usize) -> bool {
        in_flight < self.size
    }

    /// A request was carried out.
    pub(super) fn answered(&mut self) {
        self.answered += 1;
        if self.answered >= self.size {
            self.answered = 0;
            self.size = (self.size + 1).min(self.most);
        }
    }

    /// The API server has too much to do.
    pub(super) fn too_many(&mut self) {
        self.answered = 0;
        self.size = (self.size / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_at_once_and_grows_by_one_a_round_within_its_bounds() {
        let mut window = Window::new(8);
        assert!(window.has_room(7) && !window.has_room(8));
        window.too_many();
        assert!(window.has_room(3) && !window.has_room(4));
        (0..3).for_each(|_| window.answered());
        assert!(!window.has_room(4));
        window.answered();
        assert!(window.has_room(4) && !window.has_room(5));
        (0..9).for_each(|_| window.too_many());
        assert!(
            window.has_room(0) && !window.has_room(1),
            "one may always be sent"
        );
        (0..100).for_each(|_| window.answered());
        assert!(window.has_room(7) && !window.has_room(8));
        assert!(Window::new(0).has_room(0));
    }
}
