/** package.json's, which a bundle would have to bring along whole. */
export const version = '0.1.0';
