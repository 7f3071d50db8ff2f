//! An operator who revokes tokens, with or without what was made with them, and takes that back.

use crate::authority::Taken;
use crate::random::Random;
use crate::world::World;

/// Does one of these.
pub(super) fn act(world: &mut World, random: &mut Random, account: usize, client: String) {
    let (is_all, ends) = (random.happens(200), random.happens(500));
    let taken = match is_all {
        true => Taken::All,
        false => Taken::Client(client),
    };
    let now = world.now().unix;
    match random.happens(300) {
        true => world.authority.unrevoke(account),
        false => world.authority.revoke(account, taken, now, ends),
    }
    world.publish();
}
