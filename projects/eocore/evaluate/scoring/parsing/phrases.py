"""The phrases by which answers announce, deny and decline a choice."""

import re

QUESTION = re.compile(r"(?<![^.?!\n])[^.?!\n]*\?(?=\s*\S)")
HYPHENED = re.compile(r"\W*([A-Za-z])-(.+)", re.DOTALL)
_WRONG_ONE = r"(?:\b(?:wrong|incorrect|false|worst|excluded|eliminated|impossible|unlikely|invalid)|\bleast \w+)"
CALLED_WRONG = re.compile(
    rf"(?:{_WRONG_ONE}|(?:\b(?:not|never|cannot)|n't)(?: (?:think|believe|say|choose))?(?: that)?|\bdoubt(?: that)?)\s+$"
)
WRONG_IS = re.compile(_WRONG_ONE + r"\s+(?:\w+\s+)?(?:(?:is|are|would be)\s*:?|:)\s*$|\b(?:(?:any|every)thing|all) (?:but|except)\s+$")
COUNTED_OPTION = re.compile(r"\b(?:option|choice|letter)s?\s*(?:no\.?|number|#)?\s*\d")
"""A number behind it counts the options or is one of them: nobody can tell where the options are numbers."""
_NOUN = r"(?:answer|option|choice|response|ans\b\.?|opt\b\.?|letter|label|classe?|categor(?:y|ie)|assistant)"
_FILLER = r"(?:(?:most )?likely |probably |clearly |definitely |therefore |thus |that |indeed |still |simply )*"
_BEFORE = rf"(?:the )?(?:(?:correct|right|best) )?(?:{_NOUN}s?\b[ :]*)?"
_NOT_THAT = rf"(?P<not>not {_BEFORE})?"
_IS = r"(?:is|are|was|would be|should be|must be|will be|has to be)\b\s*:?|[:=\u662f\u4e3a]|->|=>|\u2192|\n"
STATES = re.compile(
    rf"(?P<final>final )?\b(?:{_NOUN}|\u7b54\u6848|\u9009\u9879)s?(?: {_NOUN})?(?: to (?:the|this) question| here"
    rf"| for this (?:question|image)| letter)?\s*(?:{_IS})\s*{_FILLER}{_BEFORE}{_NOT_THAT}"
)
"""Behind it an answer is stated: "the correct answer is", "Answer:", "final answer: option"."""
OPENS = re.compile(rf"(?:both |either |only )?(?:{_NOUN}s?\b[ :]*)?")
_I_WOULD = (
    r"i(?:'d|'ll| would| will| am going to| can)?(?: have to)? (?:choose|pick|select|go(?:ing)? with|opt for|say|answer|guess|think|believe"
    r"|conclude|suggest)(?: that)?(?: (?:it is|it's|the answer is))?"
)
_IT_IS = r"(?:it|this|that)(?:'s| is| must be| would be| should be| has to be| seems to be| appears to be| looks like)"
_HENCE = r"therefore|thus|hence|so|chosen?|choose|select(?:ed)?|pick(?:ed)?|corresponds? to|match(?:es)?(?: with)?|points? to|go with"
SENTENCE = re.compile(
    rf"(?:\b(?:{_I_WOULD}|{_IT_IS}|{_HENCE}|{_NOUN})\b|(?<!\u4e0d)(?:\u9009(?!\u9879)\u62e9?|\u662f))[,:]?\s*{_FILLER}{_BEFORE}{_NOT_THAT}"
)
IS_RIGHT = re.compile(
    r"\s*(?:is|seems|appears|would be|looks)(?: to be)?(?: the)?(?: most| clearly)? (?:correct|right|best|true|answer|accurate|likely"
    r"|appropriate|better)\b|\s+(?:fits|matches|describes|corresponds)\b"
)
IS_WRONG = re.compile(
    r"\s*(?:(?:is|are|was|were|can|could|does|do|has|would|seems?|appears?)\s+(?:clearly |also |both |to be |be )*"
    r"(?:not|wrong|incorrect|excluded|ruled out|unlikely|eliminated|false)\b|(?:cannot|can't|isn't|aren't|doesn't)\b"
    r"|\??\s*(?:no|wrong|incorrect|false)\s*(?:[.,;\n]|$))"
)
TEXT_IS_WRONG = re.compile(
    r"\s*(?:is|are|was|were|can|could|seems?|appears?)\s+(?:clearly |also |both |to be |be )*"
    r"(?:not (?:the |a )?(?:correct|right|answer|visible|present|best)|wrong|incorrect|excluded|ruled out|unlikely|eliminated|false)\b"
)
BUT = re.compile(rf",?\s*(?:but|rather)(?: rather)? {_BEFORE}")
SINGLE_MARKED = re.compile(r"(?<!\w)[(\[]([a-z])[)\]]")
LAST_LETTER = re.compile(
    r"(?:[^\w\s'(\[]\s*|[\u3040-\u9fff] ?|[A-Z][a-z]+ly\s|(?<![^\W\d_])(?!(?:in|on|at|an?|the|or|and|nor|areas?|regions?|zones?|images?"
    r"|pictures?|panels?|points?|groups?|types?|class|plans?|blocks?|buildings?|sectors?|runways?|terminals?)\b)[a-z\u00df-\u00ff]+\s)([A-Z])[.!]?$"
)
"""The letter a text ends with, behind a mark or a word in lower case; "Plan B" and "in area B" name no option."""
TEXT_ENDS = re.compile(
    r"\s*(?:$|[.;:!?\n(\u2013\u2014]|-\s|,)|\s+(?:because|since|as|is (?:the )?(?:correct|right|visible|present|shown|best))\b"
)
FIRST_WORD = re.compile(
    r"(?:answer\s*[:=]\s*|the answer is:?\s*)?([a-z]+)(?!\s*(?:or|and|/)\s*(?:yes|no|true|false)\b)(?!\s+(?:doubt|question|problem)\b)"
)
LETTER_BEHIND = re.compile(r"\s*[(\[](?:option )?([a-z])[)\]]|\s*[-\u2013\u2014]\s*([a-z])\s*$")
GLUE = re.compile(r"\s*[,;/&\n.]\s*(?:(?:and|or)\s+)?|\s+(?:and|or)\s+")
CLAUSE_ENDS = re.compile(r"\)?\s*(?:$|[.;,\n!])")
DECLINES = re.compile(
    r"\b(?:i (?:do not|don't) know|(?:i )?(?:cannot|can't|could not|couldn't|unable to) (?:\w+ )?(?:tell|determine|say|answer|see|identify"
    r"|provide|choose)|not sure|uncertain|unclear|none of (?:the|these|them)\b|neither of|sorry|not enough information|insufficient"
    r"|impossible to (?:tell|say))"
)
