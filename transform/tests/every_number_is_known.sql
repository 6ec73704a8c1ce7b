-- Numbers that a row of `message_enhanced` has, and `numbers` lacks.
select message_id
from {{ ref('message_enhanced') }}
where (our_number is not null and our_number_kind is null) or (contact_number is not null and contact_number_kind is null)
