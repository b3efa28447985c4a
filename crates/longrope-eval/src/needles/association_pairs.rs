//! Facts and questions that share no words, only an association.

/// A fact about a person, and a question that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The fact; `{name}` stands for the person.
    pub(crate) fact: &'static str,
    /// The question, whose answer is the person.
    pub(crate) question: &'static str,
}

const fn pair(fact: &'static str, question: &'static str) -> Pair {
    Pair { fact, question }
}

/// Each question is answered by its own fact only. The step from one to the other is common knowledge.
pub(crate) const PAIRS: [Pair; 48] = [
    pair(
        "From the kitchen window, {name} sees the Eiffel Tower every morning.",
        "Who lives in Paris?",
    ),
    pair(
        "{name} sells tickets at the gate of the Colosseum.",
        "Who works in Rome?",
    ),
    pair(
        "Last spring {name} crossed the Golden Gate Bridge on foot.",
        "Who was in San Francisco?",
    ),
    pair(
        "{name} set an alarm to hear Big Ben strike twelve from the hotel room.",
        "Who has visited London?",
    ),
    pair(
        "The guide led {name} around the great pyramids at noon.",
        "Who travelled to Egypt?",
    ),
    pair(
        "{name} paints pictures of the Acropolis and hangs them in the hall.",
        "Who likes Athens?",
    ),
    pair(
        "{name} spends each August in a hut below Mount Fuji.",
        "Who goes to Japan in summer?",
    ),
    pair(
        "{name} slept in a tent and woke because kangaroos were hopping past.",
        "Who has been to Australia?",
    ),
    pair(
        "The gondola was late, so {name} waited beside the canal.",
        "Who visited Venice?",
    ),
    pair(
        "{name} keeps a piece of the Berlin wall on the shelf.",
        "Who owns something from Germany?",
    ),
    pair(
        "{name} cannot drink milk without getting ill.",
        "Who should not eat ice cream?",
    ),
    pair(
        "{name} has not touched meat or fish for ten years.",
        "Who is a vegetarian?",
    ),
    pair(
        "A single peanut would send {name} to hospital.",
        "Who is allergic to nuts?",
    ),
    pair(
        "{name} reads with the fingertips, because the eyes see nothing.",
        "Who is blind?",
    ),
    pair(
        "{name} follows every talk by watching lips and hands.",
        "Who is deaf?",
    ),
    pair(
        "{name} looks after lions and feeds the elephants at six.",
        "Who is a zoo keeper?",
    ),
    pair(
        "{name} drills and fills teeth from Monday to Friday.",
        "Who is a dentist?",
    ),
    pair(
        "{name} kneads dough long before sunrise and heats the oven.",
        "Who is a baker?",
    ),
    pair(
        "In the cockpit, {name} asked the tower for permission to land.",
        "Who is a pilot?",
    ),
    pair(
        "{name} climbed the ladder with a hose while flames came out of the roof.",
        "Who belongs to the fire brigade?",
    ),
    pair(
        "{name} stamps the return date and puts novels back on their shelves.",
        "Who is a librarian?",
    ),
    pair(
        "{name} defends people accused of crimes before the judge.",
        "Who is a lawyer?",
    ),
    pair(
        "{name} shears the flock in May and leads the lambs to the hill.",
        "Who is a shepherd?",
    ),
    pair(
        "{name} lifts honey from the hives and wears a veil against stings.",
        "Who breeds bees?",
    ),
    pair(
        "{name} measures waists and sews jackets with a needle and thread.",
        "Who is a tailor?",
    ),
    pair(
        "{name} shouts checkmate far too often.",
        "Who is a chess player?",
    ),
    pair(
        "{name} tunes four strings and rosins the bow before the concert.",
        "Who plays the violin?",
    ),
    pair(
        "{name} practises scales on eighty-eight black and white keys.",
        "Who plays the piano?",
    ),
    pair(
        "{name} serves an ace across the net and wins the set.",
        "Who plays tennis?",
    ),
    pair(
        "{name} pulled on goggles and swam forty lengths.",
        "Who was at the pool?",
    ),
    pair(
        "{name} strapped on two boards and slid down the snowy slope.",
        "Who went skiing?",
    ),
    pair(
        "{name} hooked a trout after hours beside the stream.",
        "Who goes fishing?",
    ),
    pair(
        "{name} said yes at the altar on Saturday, and the bells rang.",
        "Who got married?",
    ),
    pair(
        "Five candles were on the cake, and {name} blew them out.",
        "Who had a birthday?",
    ),
    pair(
        "{name} has a leg in plaster and hops about on crutches.",
        "Who broke a bone?",
    ),
    pair(
        "{name} sneezes, coughs and stays in bed with a red nose.",
        "Who has a cold?",
    ),
    pair(
        "A rattle and a pram stand in the hall since {name} came back from the clinic.",
        "Who became a parent?",
    ),
    pair(
        "{name} throws a stick in the park and picks up what the terrier leaves.",
        "Who owns a dog?",
    ),
    pair(
        "A soft ball of fur purrs on the lap of {name} and chases mice at dusk.",
        "Who has a cat?",
    ),
    pair(
        "{name} puts on a saddle and trots across the meadow.",
        "Who rides a horse?",
    ),
    pair(
        "{name} looks at the rings of Saturn through a lens in the attic.",
        "Who is interested in astronomy?",
    ),
    pair(
        "{name} digs up old pots and coins with a small brush.",
        "Who is an archaeologist?",
    ),
    pair(
        "{name} pays with kroner and sails along the fjords.",
        "Who is at home in Norway?",
    ),
    pair(
        "{name} dances samba at the carnival below the statue on the mountain.",
        "Who comes from Brazil?",
    ),
    pair(
        "{name} wore a kilt and blew into the bagpipes.",
        "Who is a Scot?",
    ),
    pair(
        "{name} filled a barrow with tulip bulbs beside the windmill and the dyke.",
        "Who is Dutch?",
    ),
    pair(
        "{name} lost everything at the roulette table.",
        "Who gambled?",
    ),
    pair(
        "{name} was caught with stolen jewels and now counts days behind bars.",
        "Who is in prison?",
    ),
];

/// The persons. No name begins like another, so that the first token of a name tells who is meant.
pub(crate) const NAMES: [&str; 24] = [
    "Alice", "Boris", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ivan", "Julia", "Karl",
    "Laura", "Martin", "Nora", "Oscar", "Paula", "Quentin", "Rosa", "Simon", "Teresa", "Ulrich",
    "Vera", "Walter", "Yvonne",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Words without a meaning of their own.
    const FUNCTION_WORDS: &[&str] = &[
        "a", "an", "and", "at", "about", "is", "was", "been", "be", "has", "have", "had", "not",
        "should", "would", "who", "the", "to", "in", "on", "of", "from", "for", "with", "without",
        "by", "it", "them", "out", "up", "down", "before", "behind", "beside", "below", "because",
        "so", "or", "what", "now", "too", "far", "every", "each",
    ];

    /// The content words of a text, cut to five letters so that forms of a word are the same.
    fn content(text: &str) -> BTreeSet<String> {
        text.to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty() && *word != "name" && !FUNCTION_WORDS.contains(word))
            .map(|word| word.chars().take(5).collect())
            .collect()
    }

    #[test]
    fn a_question_shares_no_content_word_with_any_fact() {
        for asked in PAIRS {
            for other in PAIRS {
                let (question, fact) = (content(asked.question), content(other.fact));
                let shared: Vec<&String> = question.intersection(&fact).collect();
                assert!(shared.is_empty(), "{shared:?}: {asked:?}, {other:?}");
            }
        }
    }

    #[test]
    fn facts_and_questions_are_distinct_and_of_the_same_form() {
        let facts: BTreeSet<&str> = PAIRS.iter().map(|pair| pair.fact).collect();
        let questions: BTreeSet<&str> = PAIRS.iter().map(|pair| pair.question).collect();
        assert_eq!((facts.len(), questions.len()), (PAIRS.len(), PAIRS.len()));
        for Pair { fact, question } in PAIRS {
            assert_eq!(fact.matches("{name}").count(), 1, "{fact}");
            assert!(
                fact.ends_with('.') && question.starts_with("Who "),
                "{fact}"
            );
        }
        let initials: BTreeSet<&str> = NAMES.iter().map(|name| &name[..1]).collect();
        assert_eq!(initials.len(), NAMES.len());
    }
}
