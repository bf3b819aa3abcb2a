/* libidn2 maps as UTS #46 says (capitals to small letters, composed forms, the widths of East Asia), without its transitional rules, which
 * would make another name of "ß", and checks each label as RFC 5891 5 wants it of who looks a name up. It works on tables of its own: no
 * file, no locale. What may stand in a domain at all is asked once more of what comes out: a mapping may yield a blank, a slash or
 * nothing. */
#include "idn.h"

#include "../base/text.h"
#include "address.h"

#include <idn2.h>
#include <stdlib.h>

struct span idn_ascii(struct span domain, char dest[SMTP_DOMAIN_SIZE])
{
    char text[SMTP_DOMAIN_SIZE], *ascii = NULL;
    if (span_is_ascii(domain))
        return domain;
    bool good = text_copy(text, sizeof text, domain) &&
                idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK &&
                address_is_domain(span_of(ascii), false);
    if (good)
        text_copy(dest, SMTP_DOMAIN_SIZE, span_of(ascii));
    idn2_free(ascii);
    if (!good)
        return SPAN("");
    text_lower(dest);
    return span_of(dest);
}
