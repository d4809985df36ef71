import fc from 'fast-check'

/** Pieces of RE2 syntax, put together at random. */
const piece = fc.constantFrom(
  ...[
    'a',
    'b',
    '.',
    'é',
    '🙂',
    '-',
    ',',
    '7',
    '{',
    '}',
    ':]',
    '\\d',
    '\\b',
    '\\]',
    '\\(',
    '^',
    '$',
    '\\z',
    '\\101'
  ],
  ...[
    '(',
    '(',
    '(?:',
    '(?i)',
    '(?i:',
    '(?P<x>',
    '(?)',
    '(?-s)',
    ')',
    ')',
    ')',
    '|',
    '*',
    '+',
    '?',
    '*?',
    '??'
  ],
  ...['{2}', '{3,}', '{0,4}', '{0}', '{5,2}', '{,3}', '{40}', '{1,90}', '{1000}'],
  ...['[a', '[^', '[', ']', '[:alpha:]', '[:', '[^]', '-[', '[a-', '[a-z]', '[+-[:]'],
  ...['\\pL', '\\p{Greek}', '\\x{41}', '\\x41', '\\Q', '\\E', '\\']
)
/** Expressions of which many compile, and many ask too much. */
export const syntax = fc.array(piece, { maxLength: 16 }).map(pieces => pieces.join(''))
