select prefix
from {{ ref('number_prefixes') }}
where length(prefix) > {{ signalwire_logs.longest_prefix() }}
